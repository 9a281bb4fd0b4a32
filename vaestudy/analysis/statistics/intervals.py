"""Estimates with their intervals: means, rates, differences; and whether a mean describes its values at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy
from scipy import special

# scipy.stats takes a second to import, and scipy loads it where it is first named; tables do without.

LEVEL = 0.95
ROUNDING = 1e-12
"""A spread below this is rounding."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval and the number of values behind it; NaN ends where it cannot be had."""

    estimate: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """Half the interval's length."""
        return (self.high - self.low) / 2

    @property
    def count(self) -> int:
        """Of a rate: how many of the n it counts."""
        return round(self.estimate * self.n) if self.n else 0


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean with an interval of ``reach`` standard errors; with fewer than two values it is unknown (NaN)."""
    x = np.asarray(values, dtype=float)
    if len(x) == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(x.mean())
    if len(x) == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = float(reach(len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half, len(x))


def reach(freedom: float) -> float:
    """How many standard errors the 95 % interval of a mean reaches: Student's quantile at (2 f + 3) / 5 degrees of
    freedom in the place of f.

    Chosen by simulation, so that the means of skewed values are covered as well: from three values on, that of
    exponential ones in 93 to 94 of 100 samples (at f itself in 88 to 92), that of normal ones in 97 to 98
    (docs/decisions/0005-intervals.md).
    """
    return students_quantile((1 + LEVEL) / 2, (2 * freedom + 3) / 5)


def students_quantile(share: float, freedom: float) -> float:
    """The value below which Student's t with these degrees of freedom lies with this probability."""
    return float(special.stdtrit(freedom, share))  # as scipy.stats.t.ppf does


def rate_interval(count: int, n: int, level: float = LEVEL) -> Interval:
    """A rate with its Clopper-Pearson interval, quantiles of beta distributions; unknown (NaN) where n is 0."""
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    return Interval(count / n, *exact_ends(count, n, level), n)


def exact_ends(count: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """The ends of Clopper and Pearson's interval for ``count`` of ``n``; neither need be a whole number."""
    tail = (1 - level) / 2
    low = special.betaincinv(count, n - count + 1, tail) if count > 0 else 0.0
    high = special.betaincinv(count + 1, n - count, 1 - tail) if count < n else 1.0
    return float(low), float(high)


def rate_difference(count: int, n: int, other_count: int, other_n: int, level: float = LEVEL) -> Interval:
    """The difference of two independent rates with Newcombe's hybrid score interval; unknown (NaN) where an n is 0.

    Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10: the rates'
    Wilson intervals, combined as in ``independent_difference``. Averaged over all pairs of rates it covers 95.3 to 95.4
    of 100 studies of 10 to 50 runs each, at the worst pair 88 (tests/analysis/test_statistics.py).
    """
    if n == 0 or other_n == 0:
        return Interval(math.nan, math.nan, math.nan, n + other_n)
    return independent_difference(_wilson(count, n, level), _wilson(other_count, other_n, level))


def _wilson(count: int, n: int, level: float) -> Interval:
    found = scipy.stats.binomtest(count, n).proportion_ci(level, method="wilson")
    return Interval(count / n, float(found.low), float(found.high), n)


def independent_difference(one: Interval, other: Interval) -> Interval:
    """The difference of two independent estimates from their own intervals; unknown (NaN) where one of these is.

    Each end lies as far from the difference as the root of the squared distances of the two ends that bring it there:
    low = d - sqrt((one - one.low)^2 + (other.high - other)^2) (Zou and Donner 2008, "Construction of confidence limits
    about effect measures", eq. 3). It asks for no symmetry of either interval.
    """
    difference = one.estimate - other.estimate
    below = math.hypot(one.estimate - one.low, other.high - other.estimate)
    above = math.hypot(one.high - one.estimate, other.estimate - other.low)
    return Interval(difference, difference - below, difference + above, one.n + other.n)


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Interval:
    """The mean difference over the seeds that both have, with the interval of that mean."""
    return mean_interval(_differences(ours, theirs))


def detectable_difference(ours: Mapping[int, float], theirs: Mapping[int, float], power: float = 0.8) -> float:
    """The smallest true mean difference that the interval over the common seeds finds with the given power."""
    return detectable(paired_difference(ours, theirs), power)


def detectable(found: Interval, power: float = 0.8) -> float:
    """The smallest true mean that ``mean_interval`` would tell from 0 with the given power, for a spread as found.

    With n values and c = reach(n - 1): the noncentrality d with P(T > c) = power for the noncentral t of n - 1 degrees
    of freedom, times the standard error; NaN below two values. (c + t_power) standard errors would promise too much
    of few values.
    """
    if found.n < 2:
        return math.nan
    standard_errors = reach(found.n - 1)
    return found.half_width / standard_errors * noncentrality(standard_errors, found.n - 1, power)


def noncentrality(critical: float, freedom: float, power: float) -> float:
    """How many standard errors a true difference must have, so that the noncentral t exceeds the critical value with
    this power."""
    return float(special.nctdtrinc(freedom, 1 - power, critical))


def _differences(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    return [ours[seed] - theirs[seed] for seed in sorted(set(ours) & set(theirs))]


def is_bimodal(values: Sequence[float]) -> bool:
    """Whether a gap splits the values into two groups of at least two, and is too long for a single group: then the
    mean describes neither.

    The gap of every such split, in units of the standard deviation within its two groups (n - 2 degrees of freedom), is
    compared with 1.5 + 14.8 n^(-3/4) + 150 / 2^n. In simulation, for every n from 4 to 100, at most 1.1 % of normal
    samples exceed that, and 1 to 6 % of uniform and exponential ones; two groups ten standard deviations apart are
    found in 63 % of samples of six values, 92 % of eight, 97 % of ten and 99 % of fifteen.
    """
    x = np.sort(np.asarray(values, dtype=float))
    n = len(x)
    return any(_gap(x[:cut], x[cut:]) > 1.5 + 14.8 * n**-0.75 + 150 * 0.5**n for cut in range(2, n - 1))


def _gap(low: Array, high: Array) -> float:
    """Between two groups of sorted values, in units of the standard deviation within them."""
    squares = len(low) * low.var() + len(high) * high.var()
    within = math.sqrt(squares / (len(low) + len(high) - 2))
    return float(high[0] - low[-1]) / max(within, ROUNDING)
