"""Targets and the gradient evaluations that it takes to reach them (protocol, rule 8)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from vaestudy.analysis.compare import by_trial, confirmed, ended, trials
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.statistics.survival import SurvivalCurve, kaplan_meier, median_of_min
from vaestudy.analysis.winners import best_winner
from vaestudy.records import trial_name

BEST = "final/best_val_nelbo"
GROUP = 5
"""Trials of one tuning in AlgoPerf's score: the median over tunings of the fastest trial of each."""


Time = tuple[float, float]
"""Gradient evaluations until something happened, infinite where it did not, and for how many it was watched."""


@dataclass(frozen=True)
class Target:
    """What counts as reached on a workload.

    Attributes:
        nats: validation -ELBO per example; NaN where there is no target.
        origin: where it is from, or why there is none.
        problem: why it must not be used (rule 8), empty where it may.
    """

    workload: str
    nats: float
    origin: str
    problem: str

    @property
    def usable(self) -> bool:
        """Whether there is a target and it is valid."""
        return not self.problem


@dataclass(frozen=True)
class Reach:
    """How soon a method's confirmed winners reach the target.

    Attributes:
        times: gradient evaluations by unit, of a replicate the median over its seeds; infinite where the cap came
            first.
        capped: the same, and for how long the unit was watched where the cap came first.
        curve: Kaplan-Meier over the units, censored at the cap; None without a unit.
        algoperf: the median over groups of five search trials of their shortest time; infinite where most miss, NaN
            with fewer than five.
    """

    workload: str
    method: str
    times: dict[int, float]
    capped: dict[int, float]
    curve: SurvivalCurve | None
    algoperf: float


def target(records: Records, workload: str) -> Target:
    """The target of a workload: declared, or the median of the best L_val of the reference method's reruns."""
    section = records.study.get("target")
    if section is None:
        return _none(workload, "the study file declares no target")
    if workload in section["nats"]:
        return _judged(records, Target(workload, float(section["nats"][workload]), "declared in the study file", ""))
    runs = records.runs[(records.runs["workload"] == workload) & (records.runs["stage"] == "target")]
    chosen = _reference(records, workload)
    if chosen is None or not len(runs):
        return _none(workload, "the stage target has not run")
    method, trial = chosen
    reruns = column(runs[(runs["method"] == method) & (runs["trial"] == trial)], BEST).dropna()
    if not len(reruns):
        return _none(workload, "no rerun of the reference method has ended")
    origin = f"median of the best of {len(reruns)} reruns of {method} {trial_name(trial)}"
    return _judged(records, Target(workload, float(reruns.median()), origin, ""))


def _none(workload: str, why: str) -> Target:
    return Target(workload, math.nan, "", why)


def _reference(records: Records, workload: str) -> tuple[str, int] | None:
    """The method and the number of the best trial of all reference methods, in the first replicate."""
    section = records.study["target"]
    searches = {method: trials(records, workload, method) for method in records.methods}
    scores = {
        method: by_trial(searches[method][searches[method]["replicate"] == 0], "final/val_nelbo")
        for method in section["methods"] or records.methods
    }
    return best_winner(scores, section["trials"] or records.study["search"]["trials"])


def _judged(records: Records, found: Target) -> Target:
    """The target, with its problem unless it lies below the middle between the trivial model and the best run."""
    trivial = trivial_of(records, found.workload)
    best = float(column(records.runs[records.runs["workload"] == found.workload], BEST).min())
    middle = trivial - (trivial - best) / 2
    if found.nats < middle:
        return found
    if math.isnan(middle):
        return replace(found, problem="no run has ended that it could be judged by")
    problem = f"{found.nats:.2f} nats is not below {middle:.2f}, halfway from the constant decoder to the best run"
    return replace(found, problem=problem)


def trivial_of(records: Records, workload: str) -> float:
    """L_trivial of a workload's validation examples; NaN before the first run has ended."""
    runs = records.runs[records.runs["workload"] == workload]
    return float(column(runs, "final/l_trivial").mean())


def reaches(records: Records, goals: Iterable[Target]) -> list[Reach]:
    """How soon every method reaches every usable target."""
    return [reach(records, goal, method) for goal in goals if goal.usable for method in records.methods]


def reach(records: Records, goal: Target, method: str) -> Reach:
    """How soon a method reaches a usable target: its winners at the largest budget, unit by unit."""
    runs = confirmed(records, goal.workload, method, records.budgets[-1])
    units: dict[int, list[Time]] = {}
    for unit, found in zip(runs[records.unit].astype(int), times_to(records, runs, goal.nats), strict=True):
        units.setdefault(unit, []).append(found)
    typical = {unit: sorted(found)[(len(found) - 1) // 2] for unit, found in units.items()}
    curve = survival(list(typical.values())) if typical else None
    times = {unit: time for unit, (time, _) in typical.items()}
    capped = {unit: min(found) for unit, found in typical.items()}
    return Reach(goal.workload, method, times, capped, curve, _algoperf(records, goal, method))


def _algoperf(records: Records, goal: Target, method: str) -> float:
    search = ended(trials(records, goal.workload, method))
    times = [_first_below(records.curve(uid), goal.nats) for uid in search["uid"]]
    return median_of_min([times[start : start + GROUP] for start in range(0, len(times) - GROUP + 1, GROUP)])


def times_to(records: Records, runs: pd.DataFrame, nats: float) -> list[Time]:
    """How many gradient evaluations each of a cell's runs takes until its L_val is at or below ``nats``, infinite where
    it never gets there, and for how many it was watched.

    A run that stopped above ``nats`` was watched until it stopped, but to the end of the longest run if it diverged: it
    would not have got there later either, and a curve that lost it early would look the faster for it.
    """
    curves = [records.curve(uid) for uid in runs["uid"]]
    times, ends = [_first_below(curve, nats) for curve in curves], [_last_cost(curve) for curve in curves]
    cap = max(ends, default=0.0)
    watched = [cap if outcome == "diverged" else end for end, outcome in zip(ends, runs["outcome"], strict=True)]
    return list(zip(times, watched, strict=True))


def survival(found: Sequence[Time]) -> SurvivalCurve:
    """The Kaplan-Meier curve of times, each censored where its watch ended."""
    return kaplan_meier([min(time, end) for time, end in found], [math.isfinite(time) for time, _ in found])


def _first_below(curve: pd.DataFrame, nats: float) -> float:
    below = np.flatnonzero(curve["val/nelbo"].to_numpy() <= nats)
    return float(curve["cost/grad_evals"].to_numpy()[below[0]]) if len(below) else math.inf


def _last_cost(curve: pd.DataFrame) -> float:
    """The gradient evaluations of a whole run; 0 for one that measured nothing."""
    return float(curve["cost/grad_evals"].iloc[-1]) if len(curve) else 0.0
