"""Collapse as an outcome: who escapes the plateau and when, where in the space, and which rates and distortions result.

Everything here is over the independent trials of a search (stage T), failures included; nothing is averaged away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from vaestudy.analysis.compare import confirmed, trials
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.statistics import (
    GoodRegion,
    Interval,
    Point,
    SurvivalCurve,
    good_region,
    hypervolume_interval,
    kaplan_meier,
    rate_interval,
)
from vaestudy.analysis.targets import first_below, last_cost

MARGIN_NATS = 1.0
"""A run has left the plateau when it is this much better than the constant decoder (protocol, rule 7)."""

TOLERANCE_NATS = 1.0
"""A learning rate is good where a trial comes this near to the method's best."""


@dataclass(frozen=True)
class Escape:
    """How soon a method's trials leave the plateau of the constant decoder; gradient evaluations."""

    workload: str
    method: str
    curve: SurvivalCurve
    escaped: Interval


@dataclass(frozen=True)
class Front:
    """Rates and distortions of a method, nats per example.

    Attributes:
        points: (rate, distortion) of every trial that reached the cap.
        hypervolume: what the confirmed winner dominates on its way, seed by seed, up to the reference; nats squared.
        reference: the rate of the highest point of all methods, and the constant decoder's distortion.
    """

    workload: str
    method: str
    points: tuple[Point, ...]
    hypervolume: Interval
    reference: Point


@dataclass(frozen=True)
class Sensitivity:
    """How wide the region of good learning rates is; None where the rate is not searched on a log scale."""

    workload: str
    method: str
    region: GoodRegion | None
    lrs: tuple[float, ...]
    losses: tuple[float, ...]


def trivial_of(records: Records, workload: str) -> float:
    """L_trivial of a workload's validation images; NaN before the first run has ended."""
    runs = records.runs[records.runs["workload"] == workload]
    return float(column(runs, "final/l_trivial").mean())


def capped_losses(records: Records, workload: str) -> dict[str, list[float]]:
    """L_val of every ended trial by method, in the order of the trials; one that failed or was stopped counts as the
    trivial model, free for all. Methods without an ended trial are left out."""
    trivial = trivial_of(records, workload)
    found: dict[str, list[float]] = {}
    for method in records.methods:
        search = trials(records, workload, method)
        ended = search[search["outcome"].isin(["done", "pruned", "diverged"])]
        values = column(ended, "final/val_nelbo").where(ended["outcome"] == "done").fillna(trivial)
        found[method] = [float(value) for value in values.clip(upper=trivial)]
    return {method: losses for method, losses in found.items() if losses} if math.isfinite(trivial) else {}


def escape(records: Records, workload: str, method: str) -> Escape:
    """How soon a method's search trials leave the plateau, censored where they stopped on it."""
    level = trivial_of(records, workload) - MARGIN_NATS
    curves = [records.curve(uid) for uid in trials(records, workload, method)["uid"]]
    times = [first_below(curve, level) for curve in curves]
    seen = [math.isfinite(time) for time in times]
    watched = [time if math.isfinite(time) else last_cost(curve) for time, curve in zip(times, curves, strict=True)]
    return Escape(workload, method, kaplan_meier(watched, seen), rate_interval(sum(seen), len(seen)))


def fronts(records: Records, workload: str) -> list[Front]:
    """Every method's rates and distortions on a workload."""
    points = {method: _points(trials(records, workload, method)) for method in records.methods}
    paths = {method: _paths(records, workload, method) for method in records.methods}
    rates = [rate for found in paths.values() for path in found.values() for rate, _ in path]
    reference = (max(rates, default=math.nan), trivial_of(records, workload))
    return [
        Front(workload, method, points[method], _volume(paths[method], reference), reference)
        for method in records.methods
    ]


def _points(search: pd.DataFrame) -> tuple[Point, ...]:
    done = search[(search["outcome"] == "done") & (search["failure"] != "diverged")]
    pairs = zip(column(done, "final/kl"), column(done, "final/rec"), strict=True)
    return tuple((rate, distortion) for rate, distortion in pairs if math.isfinite(rate + distortion))


def _paths(records: Records, workload: str, method: str) -> dict[int, list[Point]]:
    """The rates and distortions that each confirmation seed of the winner passes through."""
    runs = confirmed(records, workload, method, records.budgets[-1])[1]
    return {
        seed: [
            (rate, rec)
            for rate, rec in zip(curve["val/kl"].iloc[1:], curve["val/rec"].iloc[1:], strict=True)
            if math.isfinite(rate + rec)
        ]
        for seed, curve in records.curves_by_seed(runs).items()
    }


def _volume(paths: Mapping[int, list[Point]], reference: Point) -> Interval:
    if not paths or not all(map(math.isfinite, reference)):
        return Interval(math.nan, math.nan, math.nan, 0)
    return hypervolume_interval(paths, reference)


def sensitivity(records: Records, workload: str, method: str) -> Sensitivity:
    """The width of a method's good learning-rate region, from its independent search trials."""
    search = trials(records, workload, method)
    search = search[search["outcome"].isin(["done", "pruned", "diverged"])]
    lrs = tuple(column(search, "setting.lr"))
    losses = tuple(column(search, "final/val_nelbo").where(search["outcome"] == "done", math.inf).fillna(math.inf))
    bounds = (records.study["methods"][method]["search"].get("lr") or {}).get("log")
    region = good_region(lrs, losses, TOLERANCE_NATS, *bounds) if bounds and lrs else None
    return Sensitivity(workload, method, region, lrs, losses)
