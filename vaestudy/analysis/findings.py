"""All that a report says of a study, computed once and handed to tables, figures and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vaestudy.analysis.aggregates import Aggregates, aggregates
from vaestudy.analysis.audits import audits
from vaestudy.analysis.claims import claims
from vaestudy.analysis.compare import Comparison, compare
from vaestudy.analysis.design_audits import Audit, independent
from vaestudy.analysis.factorial import Factorial, factorial
from vaestudy.analysis.frames import Records
from vaestudy.analysis.outcomes import Escape, Front, Sensitivity, capped_losses, escape, fronts, sensitivity
from vaestudy.analysis.statistics.leaders import LeaderChange, leader_changes
from vaestudy.analysis.targets import Reach, Target, reaches, target
from vaestudy.analysis.verdicts import Claim

Importances = Mapping[str, Mapping[str, tuple[float, bool]]]
"""By evaluator, by searched key: its share, and whether it is told from noise."""

Importance = Callable[[Records, str, str], Importances]
"""Of a workload and a method."""


@dataclass(frozen=True)
class Findings:
    """A study's results, each list over workloads and methods in the order of the study file.

    Attributes:
        leaders: by workload the budgets at which the leader changes; empty where trials are not independent.
        importances: by (workload, method); empty where nobody computes them.
        independent: whether the search trials are independent (stage T).
    """

    comparison: Comparison
    targets: tuple[Target, ...]
    reaches: tuple[Reach, ...]
    aggregates: Aggregates
    escapes: tuple[Escape, ...]
    fronts: tuple[Front, ...]
    sensitivities: tuple[Sensitivity, ...]
    leaders: Mapping[str, tuple[LeaderChange, ...]]
    importances: Mapping[tuple[str, str], Importances]
    factorial: Factorial | None
    audits: tuple[Audit, ...]
    claims: Mapping[str, tuple[Claim, ...]]
    independent: bool


def findings(records: Records, importance: Importance | None = None) -> Findings:
    """Everything that the records of a study tell."""
    comparison = compare(records)
    cells = [(workload, method) for workload in records.study["workloads"] for method in records.methods]
    goals = tuple(target(records, workload) for workload in records.study["workloads"])
    reached = tuple(reaches(records, goals))
    factors = factorial(records, comparison)
    stage_t = independent(records)
    return Findings(
        comparison,
        goals,
        reached,
        aggregates(records, goals, reached, comparison.baseline),
        tuple(escape(records, *cell) for cell in cells),
        tuple(front for workload in records.study["workloads"] for front in fronts(records, workload)),
        tuple(sensitivity(records, *cell) for cell in cells) if stage_t else (),
        {workload: tuple(_leaders(records, workload)) for workload in records.study["workloads"] if stage_t},
        {cell: importance(records, *cell) for cell in cells} if importance else {},
        factors,
        tuple(audits(records, comparison)),
        {workload: tuple(found) for workload, found in claims(records, comparison, reached, factors).items()},
        stage_t,
    )


def _leaders(records: Records, workload: str) -> list[LeaderChange]:
    return leader_changes(capped_losses(records, workload))
