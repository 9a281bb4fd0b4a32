"""The statistics of a comparison: a few lines each, on scipy where it has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import gammaln

LEVEL = 0.95
BIMODAL_GAP = 3.0


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
    """The mean with Student's t interval; with fewer than two values the interval is unknown (NaN)."""
    x = np.asarray(values, dtype=float)
    if len(x) == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(x.mean())
    if len(x) == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half, len(x))


def rate_interval(count: int, n: int) -> Interval:
    """A rate with its Clopper-Pearson interval; unknown (NaN) where n is 0."""
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    found = stats.binomtest(count, n).proportion_ci(LEVEL, method="exact")
    return Interval(count / n, float(found.low), float(found.high), n)


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Interval:
    """The mean difference over the seeds that both have, with Student's t interval of the differences."""
    return mean_interval(_differences(ours, theirs))


def detectable_difference(ours: Mapping[int, float], theirs: Mapping[int, float], power: float = 0.8) -> float:
    """The smallest true mean difference that a paired t test over the common seeds finds with the given power.

    (t_0.975 + t_power) s / sqrt(S), two-sided at 5 %, where s is the spread of the S differences; NaN for S < 2.
    """
    differences = _differences(ours, theirs)
    n = len(differences)
    if n < 2:
        return math.nan
    spread = float(np.std(differences, ddof=1)) / math.sqrt(n)
    return spread * float(stats.t.ppf((1 + LEVEL) / 2, n - 1) + stats.t.ppf(power, n - 1))


def _differences(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    return [ours[seed] - theirs[seed] for seed in sorted(set(ours) & set(theirs))]


def expected_best(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """The expected minimum of n of the values drawn without replacement, for n = 1 .. N.

    With v_(1) <= ... <= v_(N): sum over i of v_(i) C(N-i, n-1) / C(N, n) (Dodge 2019, without replacement).
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    total = len(ordered)
    return np.array([_expected_best_of(ordered, n) for n in range(1, total + 1)])


def _expected_best_of(ordered: npt.NDArray[np.float64], n: int) -> float:
    total = len(ordered)
    ranks = np.arange(total - n + 1)
    weights = np.exp(_log_choose(total - 1 - ranks, n - 1) - _log_choose(total, n))
    return float(np.dot(weights, ordered[: total - n + 1]))


def _log_choose(n: npt.ArrayLike, k: int) -> npt.NDArray[np.float64]:
    n = np.asarray(n, dtype=float)
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def is_bimodal(values: Sequence[float]) -> bool:
    """Whether the largest gap between neighbours splits the values into two groups of at least two, each far tighter
    than the gap: then the mean describes neither."""
    x = np.sort(np.asarray(values, dtype=float))
    if len(x) < 4:
        return False
    gaps = np.diff(x)[1:-1]
    cut = int(np.argmax(gaps)) + 2
    within = max(float(np.ptp(x[:cut])), float(np.ptp(x[cut:])))
    return float(gaps.max()) > BIMODAL_GAP * max(within, 1e-12)


def winner(scores: Mapping[int, float | None], budget: int) -> int | None:
    """The number of the trial with the lowest score among the first ``budget`` numbers; ties: the earlier one.

    Args:
        scores: L_val at the cap of the trials that reached it, by number; None where there is none.
    """
    known = [(score, number) for number, score in scores.items() if number < budget and score is not None]
    return min(known)[1] if known else None
