"""Links from numbers to the MLflow runs they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote


class Links:
    """Addresses of filtered run lists; empty where the study is in no MLflow, or not yet."""

    def __init__(self, facts: Mapping[str, Any]):
        base, experiment = facts.get("mlflow"), facts.get("experiment")
        self._page = f"{base}/#/experiments/{experiment}/runs" if base and experiment else ""

    def runs(self, **tags: str) -> str:
        """The runs that have all these tags."""
        if not self._page:
            return ""
        wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        return f"{self._page}?workflowType=machine_learning&searchFilter={quote(wanted, safe='')}"
