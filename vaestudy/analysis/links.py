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
        """The runs that have all these tags, best first.

        MLflow hides runs under their study's unless it sorts by a metric.
        """
        if not self._page:
            return ""
        wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        metric = "final/test_nll" if tags.get("stage") == "confirm" else "final/val_nelbo"
        order = quote(f"metrics.`{metric}`", safe="")
        found = quote(wanted, safe="")
        return f"{self._page}?workflowType=machine_learning&searchFilter={found}&orderByKey={order}&orderByAsc=true"
