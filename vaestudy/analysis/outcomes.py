"""Outcomes beside the score: who gets below the constant decoder and when, rates and distortions, good learning rates.

Everything here is over the trials of the searches, failures included; nothing is averaged away. Where searches were
repeated, an interval counts them rather than trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pandas as pd

from vaestudy.analysis.compare import confirmed, ended, trials
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.spaces import space
from vaestudy.analysis.statistics.fronts import Point, hypervolume
from vaestudy.analysis.statistics.intervals import LEVEL, Interval, mean_interval, rate_interval
from vaestudy.analysis.statistics.methods import clustered_rate, estimate
from vaestudy.analysis.statistics.sensitivity import GoodRegion, good_region
from vaestudy.analysis.statistics.survival import SurvivalCurve
from vaestudy.analysis.targets import survival, times_to, trivial_of

MARGIN_NATS = 1.0
"""A run has left the constant decoder's plateau when it is this much better than that (protocol, rule 7)."""

TOLERANCE_NATS = 1.0
"""A learning rate is good where a trial comes this near to the method's best."""


@dataclass(frozen=True)
class Escape:
    """How soon a method's trials leave the plateau of the constant decoder; gradient evaluations.

    Attributes:
        curve: of the trials of all searches. escaped: the share of them that left it.
    """

    workload: str
    method: str
    curve: SurvivalCurve
    escaped: Interval


@dataclass(frozen=True)
class Front:
    """Rates and distortions of a method, nats per example.

    Attributes:
        points: (rate, distortion) of every trial that reached the cap.
        hypervolume: what the confirmed winners dominate on their way, run by run, up to the reference; the mean over
            units, nats squared.
        reference: the constant decoder's distortion, and the highest rate at which a run of any method is below it.
    """

    workload: str
    method: str
    points: tuple[Point, ...]
    hypervolume: Interval
    reference: Point


@dataclass(frozen=True)
class Sensitivity:
    """How wide the region of good learning rates is.

    Attributes:
        regions: by replicate, each from its own trials; none where not every trial's rate is drawn on a log scale.
        length: of the declared range, in decades.
        lrs, losses: of the trials of all replicates.
    """

    workload: str
    method: str
    regions: Mapping[int, GoodRegion]
    length: float
    lrs: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def region(self) -> GoodRegion | None:
        """The region of the one replicate, or the mean of several with its interval over them; None without any."""
        if len(self.regions) < 2:
            return next(iter(self.regions.values()), None)
        best = self.lrs[self.losses.index(min(self.losses))]
        shares = {r: np.array([one.share.estimate]) for r, one in self.regions.items()}
        share = wider(estimate(shares), self.pooled(), 0.0)
        return GoodRegion(best, share, scaled(share, self.length))

    def pooled(self, level: float = LEVEL) -> Interval:
        """The share of good trials of all replicates, with the interval that independent trials have."""
        shares = [region.share for region in self.regions.values()]
        return rate_interval(sum(share.count for share in shares), sum(share.n for share in shares), level)


def scaled(found: Interval, factor: float) -> Interval:
    """An interval in another unit."""
    return Interval(found.estimate * factor, found.low * factor, found.high * factor, found.n)


def wider(replicates: Interval, trials: Interval, least: float = -1.0) -> Interval:
    """An estimate over replicates, with ends that enclose its interval and that of as many independent trials.

    Few trials may well be alike in all replicates; an interval of what differs between these would then be a point.

    Args:
        replicates, trials: of a share, or of the difference of two.
        least: what it can be at the least, 0 or -1; the most is 1.
    """
    low, high = np.fmin(replicates.low, trials.low), np.fmax(replicates.high, trials.high)
    return Interval(replicates.estimate, max(float(low), least), min(float(high), 1.0), replicates.n)


def capped_losses(records: Records, workload: str) -> dict[str, list[float]]:
    """L_val of every ended trial by method, in the order of the trials; one that failed or was stopped counts as the
    trivial model, free for all. Methods without an ended trial are left out."""
    trivial = trivial_of(records, workload)
    found: dict[str, list[float]] = {}
    for method in records.methods:
        search = ended(trials(records, workload, method))
        sound = (search["outcome"] == "done") & (search["failure"] == "none")
        values = column(search, "final/val_nelbo").where(sound).fillna(trivial)
        found[method] = [float(value) for value in values.clip(upper=trivial)]
    return {method: losses for method, losses in found.items() if losses} if math.isfinite(trivial) else {}


def escape(records: Records, workload: str, method: str) -> Escape:
    """How soon a method's ended search trials leave the plateau, censored where they stopped before they had."""
    search = ended(trials(records, workload, method))
    times = times_to(records, search, trivial_of(records, workload) - MARGIN_NATS)
    escaped = pd.Series([math.isfinite(time) for time, _ in times], index=search.index, dtype=bool)
    return Escape(workload, method, survival(times), _rate(records, escaped, search["replicate"]))


def _rate(records: Records, counted: pd.Series[bool], replicates: pd.Series[int]) -> Interval:
    if len(records.replicates) == 1:
        return rate_interval(int(counted.sum()), len(counted))
    return clustered_rate([(int(one.sum()), len(one)) for _, one in counted.groupby(replicates)])


def fronts(records: Records, workload: str) -> list[Front]:
    """Every method's rates and distortions on a workload."""
    points = {method: _points(trials(records, workload, method)) for method in records.methods}
    paths = {method: _paths(records, workload, method) for method in records.methods}
    trivial = trivial_of(records, workload)
    passed = [point for found in paths.values() for unit in found.values() for path in unit for point in path]
    rates = [rate for rate, distortion in passed if distortion < trivial]
    reference = (max(rates, default=math.nan), trivial)
    return [
        Front(workload, method, points[method], _volume(paths[method], reference), reference)
        for method in records.methods
    ]


def _points(search: pd.DataFrame) -> tuple[Point, ...]:
    done = search[(search["outcome"] == "done") & (search["failure"] != "diverged")]
    pairs = zip(column(done, "final/kl"), column(done, "final/rec"), strict=True)
    return tuple((rate, distortion) for rate, distortion in pairs if math.isfinite(rate + distortion))


def _paths(records: Records, workload: str, method: str) -> dict[int, list[list[Point]]]:
    """The rates and distortions that each confirmation run of the winners passes through, by unit."""
    runs = confirmed(records, workload, method, records.budgets[-1])
    units: dict[int, list[list[Point]]] = {}
    for unit, uid in zip(runs[records.unit].astype(int), runs["uid"], strict=True):
        curve = records.curve(uid).iloc[1:]
        path = zip(curve["val/kl"], curve["val/rec"], strict=True)
        units.setdefault(unit, []).append([(rate, rec) for rate, rec in path if math.isfinite(rate + rec)])
    return units


def _volume(paths: Mapping[int, Sequence[Sequence[Point]]], reference: Point) -> Interval:
    if not paths or not all(map(math.isfinite, reference)):
        return Interval(math.nan, math.nan, math.nan, 0)
    return mean_interval([fmean(hypervolume(path, reference) for path in unit) for unit in paths.values()])


def sensitivity(records: Records, workload: str, method: str) -> Sensitivity:
    """The width of a method's good learning-rate region, from its independent search trials."""
    search = ended(trials(records, workload, method))
    lrs = column(search, "setting.lr")
    losses = column(search, "final/val_nelbo").where(search["outcome"] == "done", math.inf).fillna(math.inf)
    ranges = [d for d in space(records, method) if d.key == "lr" and d.kind == "log" and not d.conditions]
    regions = {
        int(r): good_region(list(lrs[mine.index]), list(mine), TOLERANCE_NATS, ranges[0].low, ranges[0].high)
        for r, mine in (losses.groupby(search["replicate"]) if ranges else ())
    }
    known = {r: region for r, region in regions.items() if not math.isnan(region.best_lr)}
    length = ranges[0].decades if ranges else math.nan
    return Sensitivity(workload, method, known or regions, length, tuple(lrs), tuple(losses))


def last_fall(records: Records, runs: pd.DataFrame) -> float:
    """How far L_val fell in the last tenth of the updates, the mean over runs, nats per example; NaN without runs.

    It is measured from the last evaluation before that tenth.
    """
    curves = [records.curve(uid)["val/nelbo"] for uid in runs["uid"]]
    falls = [curve[10 * curve.index <= 9 * curve.index[-1]].iloc[-1] - curve.iloc[-1] for curve in curves if len(curve)]
    return fmean(falls) if falls else math.nan
