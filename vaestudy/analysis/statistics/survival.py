"""Time to target and time to escape a plateau, where some runs never got there (Kaplan and Meier 1958)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from vaestudy.analysis.statistics.intervals import LEVEL, Interval
from vaestudy.analysis.statistics.resampling import Array

Flags = npt.NDArray[np.bool_]

MIN_RUNS_FOR_MEDIAN = 6
"""The fewest runs whose median has a 95 % interval: of five, none covers more than 1 - 2 / 2^5 = 94 %."""


@dataclass(frozen=True)
class SurvivalCurve:
    """The share of runs that have not had the event yet: constant from each time to the next, 1 before the first.

    Attributes:
        times: of the events, rising [E].
        survival: the share still without the event just after each time [E].
        low: lower end of the pointwise 95 % interval, log-log [E]; NaN where the curve is at 0.
        high: upper end [E]; NaN where the curve is at 0.
        median: the first time at which the curve is at most 1/2, with the interval of Brookmeyer and Crowley 1982: the
            times at which 1/2 lies within the pointwise interval. inf where the curve does not fall so far (the lower
            end is then the end of the watch); NaN ends below six runs.
    """

    times: Array
    survival: Array
    low: Array
    high: Array
    median: Interval


def kaplan_meier(times: Sequence[float], observed: Sequence[bool]) -> SurvivalCurve:
    """The Kaplan-Meier curve of the runs, with pointwise intervals and the median with its own.

    Args:
        times: per run the time of the event or, where there was none, the time at which watching ended; finite.
        observed: whether the event was seen.
    """
    moments = np.asarray(times, dtype=float)
    seen = np.asarray(observed, dtype=bool)
    if not seen.any():
        none = np.empty(0)
        return SurvivalCurve(none, none, none, none, _median(none, none, none, none, moments, seen))
    curve = stats.ecdf(stats.CensoredData(moments[seen], right=moments[~seen])).sf
    events = np.isin(curve.quantiles, moments[seen])
    low, high = (end[events] for end in _pointwise(curve))
    points, survival = curve.quantiles[events], curve.probabilities[events]
    return SurvivalCurve(points, survival, low, high, _median(points, survival, low, high, moments, seen))


def _pointwise(curve: Any) -> tuple[Array, Array]:  # Any: scipy's stubs call the ends of its band numbers
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The confidence interval is undefined", RuntimeWarning)  # where survival is 0
        band = curve.confidence_interval(LEVEL, method="log-log")
    return band.low.probabilities, band.high.probabilities


def _median(times: Array, survival: Array, low: Array, high: Array, watched: Array, seen: Flags) -> Interval:
    estimate = _first(times, _halved(times, watched, seen)) if len(watched) else math.nan
    if len(watched) < MIN_RUNS_FOR_MEDIAN:
        return Interval(estimate, math.nan, math.nan, len(watched))
    ended = survival == 0  # there the pointwise interval is the point 0
    earliest = min(_first(times, (low <= 0.5) | ended), float(watched.max()))  # a median beyond the watch is possible
    return Interval(estimate, earliest, _first(times, (high < 0.5) | ended), len(watched))


def _halved(times: Array, watched: Array, seen: Flags) -> Flags:
    """At which event times the curve is at most 1/2, in fractions: rounding would miss that it is exactly there."""
    at_risk = [int((watched >= time).sum()) for time in times]
    ends = [int((watched[seen] == time).sum()) for time in times]
    factors = (Fraction(n - gone, n) for n, gone in zip(at_risk, ends, strict=True))
    return np.array([left <= Fraction(1, 2) for left in accumulate(factors, mul)], dtype=bool)


def _first(times: Array, holds: Flags) -> float:
    return float(times[holds.argmax()]) if holds.any() else math.inf


def median_of_min(times: Sequence[Sequence[float]]) -> float:
    """The median over studies of the fastest trial's time to target: AlgoPerf's score of a workload (Dahl 2023).

    Args:
        times: one sequence of times per study, one time per trial; inf = missed.

    Returns:
        inf where most studies missed the target; NaN where there are none.
    """
    fastest = sorted(min(trials, default=math.inf) for trials in times)
    if not fastest:
        return math.nan
    return (fastest[(len(fastest) - 1) // 2] + fastest[len(fastest) // 2]) / 2
