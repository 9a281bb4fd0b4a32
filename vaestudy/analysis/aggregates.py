"""One number a method over all workloads: utilities, ranks, profiles and tests (protocol, rule 9)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from vaestudy.analysis.compare import by_unit, confirmed
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.statistics.aggregate import (
    Profile,
    interquartile_mean,
    normalised_score,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)
from vaestudy.analysis.statistics.intervals import Interval
from vaestudy.analysis.statistics.ranks import FriedmanTest, PairedTest, Refusal, friedman, wilcoxon_holm
from vaestudy.analysis.targets import Reach, Target, trivial_of


@dataclass(frozen=True)
class Aggregate:
    """One method over all workloads with a usable target.

    Attributes:
        iqm: interquartile mean of the utilities of its units; a unit's is the mean over its runs, failures count 0.
        gap: optimality gap, the mean shortfall of those utilities from 1.
        improvement: the chance that one of its units beats one of the baseline's; None for the baseline.
        profile: the share of workloads on which it reaches the target within a factor of the fastest method.
    """

    method: str
    iqm: Interval
    gap: Interval
    improvement: Interval | None
    profile: Profile


@dataclass(frozen=True)
class Aggregates:
    """The methods' aggregates and tests.

    Attributes:
        refused: why there are no utilities and no profiles; empty where there are.
        ranks: Friedman's test over workloads, or why it is not made.
        pairs: Wilcoxon tests paired by unit, by workload, with Holm's correction within a workload, or why there are
            none.
    """

    methods: tuple[Aggregate, ...]
    refused: str
    ranks: FriedmanTest | Refusal
    pairs: Mapping[str, Sequence[PairedTest] | Refusal]

    @property
    def untested(self) -> list[str]:
        """Where no signed-rank tests are made, and why."""
        refused = {workload: tests for workload, tests in self.pairs.items() if isinstance(tests, Refusal)}
        return [f"No signed-rank tests on {workload}: {found.reason}." for workload, found in refused.items()]


def aggregates(records: Records, goals: Sequence[Target], reaches: Sequence[Reach], baseline: str) -> Aggregates:
    """The aggregates of a study's confirmed winners at the largest budget."""
    usable = [goal for goal in goals if goal.usable]
    refused = "; ".join(f"{goal.workload}: {goal.problem}" for goal in goals if not goal.usable)
    losses = {workload: _losses(records, workload) for workload in records.study["workloads"]}
    tests = {workload: wilcoxon_holm(by_method) for workload, by_method in losses.items()}
    methods = _methods(records, usable, reaches, baseline) if usable else ()
    return Aggregates(methods, refused, _ranks(losses), tests)


def _methods(
    records: Records, goals: Sequence[Target], reaches: Sequence[Reach], baseline: str
) -> tuple[Aggregate, ...]:
    scores = {method: utilities(records, goals, method) for method in records.methods}
    medians = {(reach.workload, reach.method): _median_time(reach) for reach in reaches}
    profiles = performance_profile(
        {method: [medians[goal.workload, method] for goal in goals] for method in records.methods}
    )
    return tuple(
        Aggregate(
            method,
            interquartile_mean(ours),
            optimality_gap(ours),
            None if method == baseline else probability_of_improvement(ours, scores[baseline]),
            profiles[method],
        )
        for method, ours in scores.items()
    )


def utilities(records: Records, goals: Sequence[Target], method: str) -> list[list[float]]:
    """The utilities of a method's units, by workload: means over a unit's runs, of which one that failed scores 0."""
    return [_utilities(records, goal, method) for goal in goals]


def _utilities(records: Records, goal: Target, method: str) -> list[float]:
    runs = confirmed(records, goal.workload, method, records.budgets[-1])
    trivial = trivial_of(records, goal.workload)
    found = [normalised_score(loss, trivial, goal.nats) for loss in _sound_losses(runs)]
    return list(by_unit(records, runs.assign(utility=found), "utility").values())


def _sound_losses(runs: pd.DataFrame) -> pd.Series[float]:
    """L_val, NaN for runs that failed."""
    return column(runs, "final/val_nelbo").where(runs["failure"] == "none")


def _median_time(reach: Reach) -> float:
    return reach.curve.median.estimate if reach.curve else math.inf


def _losses(records: Records, workload: str) -> dict[str, dict[int, float]]:
    """L_val by method and unit; a run that failed is as bad as the trivial model, and none is worse."""
    losses, trivial = {}, trivial_of(records, workload)
    for method in records.methods:
        runs = confirmed(records, workload, method, records.budgets[-1])
        capped = _sound_losses(runs).fillna(trivial).clip(upper=trivial)
        losses[method] = by_unit(records, runs.assign(capped=capped), "capped")
    return losses


def _ranks(losses: Mapping[str, Mapping[str, Mapping[int, float]]]) -> FriedmanTest | Refusal:
    """Friedman's test of the mean losses; refused where a method has none on a workload."""
    for workload, by_method in losses.items():
        missing = [method for method, found in by_method.items() if not found]
        if missing:
            return Refusal(
                f"ranks need every method on every workload: {', '.join(missing)} not confirmed on {workload}"
            )
    return friedman(
        [{method: sum(found.values()) / len(found) for method, found in row.items()} for row in losses.values()]
    )
