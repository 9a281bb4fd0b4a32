"""Targets and the gradient evaluations that it takes to reach them (protocol, rule 8)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vaestudy.analysis.compare import confirmed, trials
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.statistics import SurvivalCurve, best_winner, kaplan_meier, median_of_min

BEST = "final/best_val_nelbo"
GROUP = 5
"""Trials of one tuning in the AlgoPerf score: its median is over tunings, its minimum within one."""


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
    """How soon a method's confirmed winner reaches the target.

    Attributes:
        times: gradient evaluations by seed; infinite where the cap came first.
        curve: Kaplan-Meier over the seeds, censored at the cap; None without a seed.
        algoperf: the median over groups of five search trials of their shortest time; infinite where most miss.
    """

    workload: str
    method: str
    times: dict[int, float]
    curve: SurvivalCurve | None
    algoperf: float


def target(records: Records, workload: str) -> Target:
    """The target of a workload: declared, or the median of the best L_val of the reference method's reruns."""
    section = records.study.get("target")
    if section is None:
        return Target(workload, math.nan, "", "the study file declares no target")
    if workload in section["nats"]:
        return _judged(records, Target(workload, float(section["nats"][workload]), "declared in the study file", ""))
    chosen = _reference(records, workload)
    runs = _of(records, workload, "target")
    if chosen is None or not len(runs):
        return Target(workload, math.nan, "", "the stage target has not run")
    method, trial = chosen
    reruns = column(runs[(runs["method"] == method) & (runs["trial"] == trial)], BEST).dropna()
    if not len(reruns):
        return Target(workload, math.nan, "", "no rerun of the reference method has ended")
    origin = f"median of the best of {len(reruns)} reruns of {method} #{trial:03d}"
    return _judged(records, Target(workload, float(reruns.median()), origin, ""))


def _reference(records: Records, workload: str) -> tuple[str, int] | None:
    section = records.study["target"]
    scores = {}
    for method in section["methods"] or records.methods:
        done = trials(records, workload, method)
        done = done[done["outcome"] == "done"]
        scores[method] = dict(zip(done["trial"].astype(int), done["final/val_nelbo"].astype(float), strict=True))
    return best_winner(scores, section["trials"] or records.study["search"]["trials"])


def _judged(records: Records, found: Target) -> Target:
    """A target is invalid unless it lies below the middle between the trivial model and the best run."""
    runs = records.runs[records.runs["workload"] == found.workload]
    trivial, best = float(column(runs, "final/l_trivial").mean()), float(column(runs, BEST).min())
    middle = trivial - (trivial - best) / 2
    if found.nats < middle:
        return found
    problem = f"{found.nats:.2f} nats is not below {middle:.2f}, halfway from the constant decoder to the best run"
    return Target(found.workload, found.nats, found.origin, problem)


def reach(records: Records, goal: Target, method: str) -> Reach:
    """How soon a method reaches a usable target: its winner at the largest budget, seed by seed."""
    runs = confirmed(records, goal.workload, method, records.budgets[-1])[1]
    curves = records.curves_by_seed(runs)
    found = {seed: first_below(curve, goal.nats) for seed, curve in curves.items()}
    observed = [math.isfinite(time) for time in found.values()]
    watched = [time if math.isfinite(time) else last_cost(curves[seed]) for seed, time in found.items()]
    curve = kaplan_meier(watched, observed) if watched else None
    return Reach(goal.workload, method, found, curve, _algoperf(records, goal, method))


def _algoperf(records: Records, goal: Target, method: str) -> float:
    search = trials(records, goal.workload, method)
    times = [first_below(records.curve(uid), goal.nats) for uid in search["uid"]]
    groups = [times[start : start + GROUP] for start in range(0, len(times) - GROUP + 1, GROUP)]
    return median_of_min(groups) if groups else math.nan


def first_below(curve: pd.DataFrame, nats: float) -> float:
    """The gradient evaluations at the first evaluation at or below ``nats``; infinite where there is none."""
    below = np.flatnonzero(curve["val/nelbo"].to_numpy() <= nats)
    return float(curve["cost/grad_evals"].to_numpy()[below[0]]) if len(below) else math.inf


def last_cost(curve: pd.DataFrame) -> float:
    """The gradient evaluations of a whole run; 0 for one that measured nothing."""
    return float(curve["cost/grad_evals"].iloc[-1]) if len(curve) else 0.0


def _of(records: Records, workload: str, stage: str) -> pd.DataFrame:
    runs = records.runs
    return runs[(runs["workload"] == workload) & (runs["stage"] == stage)]


def reaches(records: Records, goals: Iterable[Target]) -> list[Reach]:
    """How soon every method reaches every usable target."""
    return [reach(records, goal, method) for goal in goals if goal.usable for method in records.methods]
