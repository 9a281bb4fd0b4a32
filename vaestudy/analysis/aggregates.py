"""One number a method over all workloads: utilities, ranks, profiles and tests (protocol, rule 9)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaestudy.analysis.compare import confirmed
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.statistics import (
    FriedmanTest,
    Interval,
    PairedTest,
    Profile,
    Refusal,
    friedman,
    interquartile_mean,
    normalised_score,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    wilcoxon_holm,
)
from vaestudy.analysis.targets import Reach, Target


@dataclass(frozen=True)
class Aggregate:
    """One method over all workloads with a usable target.

    Attributes:
        iqm: interquartile mean of the utilities of its confirmation runs; failures count 0.
        gap: optimality gap, the mean shortfall of those utilities from 1.
        improvement: the chance that one of its runs beats one of the baseline's; None for the baseline.
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
        pairs: seed-paired Wilcoxon tests by workload, with Holm's correction within a workload.
    """

    methods: tuple[Aggregate, ...]
    refused: str
    ranks: FriedmanTest | Refusal
    pairs: Mapping[str, Sequence[PairedTest]]


def aggregates(records: Records, goals: Sequence[Target], reaches: Sequence[Reach], baseline: str) -> Aggregates:
    """The aggregates of a study's confirmed winners at the largest budget."""
    usable = [goal for goal in goals if goal.usable]
    refused = "; ".join(f"{goal.workload}: {goal.problem}" for goal in goals if not goal.usable)
    methods = tuple(_aggregate(records, usable, reaches, method, baseline) for method in records.methods)
    losses = {workload: _losses(records, workload) for workload in records.study["workloads"]}
    means = [{m: _mean(found) for m, found in by_method.items()} for by_method in losses.values()]
    tests = {workload: wilcoxon_holm(by_method) for workload, by_method in losses.items()}
    return Aggregates(methods if usable else (), refused, friedman(means), tests)


def _aggregate(
    records: Records, goals: Sequence[Target], reaches: Sequence[Reach], method: str, baseline: str
) -> Aggregate:
    ours, theirs = (utilities(records, goals, name) for name in (method, baseline))
    times = {
        name: [_median_time(reaches, goal.workload, name) for goal in goals]
        for name in dict.fromkeys(reach.method for reach in reaches)
    }
    return Aggregate(
        method,
        interquartile_mean(ours),
        optimality_gap(ours),
        None if method == baseline else probability_of_improvement(ours, theirs),
        performance_profile(times)[method] if method in times else Profile((1.0,), (0.0,), 4.0),
    )


def utilities(records: Records, goals: Sequence[Target], method: str) -> list[list[float]]:
    """The utilities of a method's confirmation runs, by workload; a diverged run scores 0."""
    return [_utilities(records, goal, method) for goal in goals]


def _utilities(records: Records, goal: Target, method: str) -> list[float]:
    runs = confirmed(records, goal.workload, method, records.budgets[-1])[1]
    trivial = float(column(runs, "final/l_trivial").mean())
    return [normalised_score(loss, trivial, goal.nats) for loss in column(runs, "final/val_nelbo")]


def _median_time(reaches: Sequence[Reach], workload: str, method: str) -> float:
    found = [reach for reach in reaches if (reach.workload, reach.method) == (workload, method)]
    return found[0].curve.median.estimate if found and found[0].curve else math.inf


def _losses(records: Records, workload: str) -> dict[str, dict[int, float]]:
    """L_val by method and seed; a run that failed is as bad as the trivial model, never better."""
    losses = {}
    for method in records.methods:
        runs = confirmed(records, workload, method, records.budgets[-1])[1]
        trivial = column(runs, "final/l_trivial")
        capped = column(runs, "final/val_nelbo").fillna(trivial).clip(upper=trivial)
        losses[method] = dict(zip(runs["seed"].astype(int), capped, strict=True))
    return losses


def _mean(found: Mapping[int, float]) -> float:
    return sum(found.values()) / len(found) if found else math.nan
