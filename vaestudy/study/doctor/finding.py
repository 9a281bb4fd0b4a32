"""What a check says: how bad, where, what, and what repairs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["damage", "warning", "note"]
Repair = Callable[[], object]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, or that is worth knowing.

    Attributes:
        severity: ``damage`` (records, search and shop window disagree, or something is lost or unreadable),
            ``warning`` (nothing is lost), ``note`` (all is well).
        place: a path within the study's folder, or what of Optuna or MLflow.
        remedy: what repairs it.
        repair: does so, for ``--repair``; None where that cannot. Findings may share one.
        resumable: ``vaestudy resume`` repairs it, by running again what is lost.
    """

    severity: Severity
    place: str
    what: str
    remedy: str = ""
    repair: Repair | None = field(default=None, compare=False)
    resumable: bool = False

    def __str__(self) -> str:
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.severity}: {self.place}: {self.what}{remedy}"


BY_REPAIR = "repair it with --repair"
