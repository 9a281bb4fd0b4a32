"""One number for many runs on many workloads: the aggregates of Agarwal 2021 and the profiles of Dahl 2023.

`strata` holds one sequence of run scores per workload; scores are utilities, higher is better, and 1 is the target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from vaestudy.analysis.statistics.intervals import LEVEL, ROUNDING, Interval
from vaestudy.analysis.statistics.resampling import Array, Statistic, studentized_interval

RESAMPLES = 10_000
MIN_RUNS = 5
"""The fewest runs per workload whose intervals kept their coverage in docs/decisions/0005-intervals.md."""
MIN_RUNS_ALONE = 6
"""The same for the interquartile mean and the optimality gap of a single workload."""

Strata = Sequence[Sequence[float]]


def normalised_score(loss: float, trivial: float, target: float) -> float:
    """The utility of a loss: 0 at the trivial model or worse, 1 at the target, above 1 beyond it.

    u = max(0, (trivial - loss) / (trivial - target)); a diverged run (infinite or NaN loss) scores 0.

    Args:
        loss: of the run, nats per example.
        trivial: loss of the best constant decoder.
        target: loss to be reached; must be below ``trivial``.

    Raises:
        ValueError: the target is not below the trivial loss.
    """
    if not target < trivial:
        raise ValueError(f"the target must lie below the trivial loss: target {target}, trivial loss {trivial}")
    return max(0.0, (trivial - loss) / (trivial - target)) if math.isfinite(loss) else 0.0


def interquartile_mean(strata: Strata, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The mean of the middle half of all runs (Agarwal 2021), with its stratified bootstrap-t interval.

    A quarter of the runs is cut at each end; where that is no whole number, the run at the cut counts in part. NaN
    ends below six runs on one workload or five on several, and where a gap splits all runs into two groups that are
    shorter than it: the cut may then fall into the gap, and no interval kept its coverage.
    """
    found = _bootstrapped(strata, _middle_half, resamples, seed)
    pooled = [score for runs in strata for score in runs]
    return _without_ends(found) if _in_two_groups(pooled) else found


def optimality_gap(strata: Strata, threshold: float = 1.0, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The mean shortfall max(0, threshold - u) of all runs (Agarwal 2021), with its stratified bootstrap-t interval.

    Lower is better. NaN ends below six runs on one workload or five on several, and where no two shortfalls differ.
    A failure too rare to be among the runs is not in the interval either: read it beside the failure rate.
    """
    shortfalls = [[max(0.0, threshold - score) for score in runs] for runs in strata]
    found = _bootstrapped(shortfalls, _pooled_mean, resamples, seed)
    return Interval(found.estimate, float(np.maximum(found.low, 0.0)), found.high, found.n)


def _bootstrapped(strata: Strata, statistic: Statistic, resamples: int, seed: int) -> Interval:
    scores = [np.asarray(runs, dtype=float) for runs in strata]
    if not scores or not all(map(len, scores)):
        return Interval(math.nan, math.nan, math.nan, 0)
    found = studentized_interval(scores, statistic, resamples=resamples, seed=seed)
    enough = MIN_RUNS_ALONE if len(scores) == 1 else MIN_RUNS
    return found if min(map(len, scores)) >= enough else _without_ends(found)


def _without_ends(found: Interval) -> Interval:
    return Interval(found.estimate, math.nan, math.nan, found.n)


def _in_two_groups(values: Sequence[float]) -> bool:
    """Whether the longest gap that leaves two values or more on either side is longer than either of these groups."""
    x = np.sort(np.asarray(values, dtype=float))
    if len(x) < 4:
        return False
    gaps = np.diff(x)[1:-1]
    cut = int(gaps.argmax()) + 2
    return float(gaps.max()) > max(float(np.ptp(x[:cut])), float(np.ptp(x[cut:])), ROUNDING)


def _middle_half(strata: Sequence[Array]) -> tuple[Array, Array]:
    """The interquartile mean, and the standard error of its winsorised runs (Tukey and McLaughlin 1963)."""
    pooled = np.sort(np.concatenate(strata, axis=-1), axis=-1)
    total = pooled.shape[-1]
    rank = np.arange(1, total + 1)
    kept = np.clip(np.minimum(rank, total + 1 - rank) - total / 4, 0.0, 1.0)
    low, high = _quartile(pooled)[..., None], -_quartile(-pooled[..., ::-1])[..., None]
    variance = _variance_of_sum([np.clip(runs, low, high) for runs in strata])
    return pooled @ (kept / kept.sum()), np.sqrt(variance) / (total / 2)


def _quartile(ordered: Array) -> Array:
    """The value above a quarter of the ordered ones: half-way between two where a quarter is a whole number."""
    place = max(ordered.shape[-1] / 4 - 0.5, 0.0)
    below = math.floor(place)
    above = min(below + 1, ordered.shape[-1] - 1)
    return np.asarray(ordered[..., below] + (place - below) * (ordered[..., above] - ordered[..., below]))


def _pooled_mean(strata: Sequence[Array]) -> tuple[Array, Array]:
    pooled = np.concatenate(strata, axis=-1)
    return pooled.mean(axis=-1), np.sqrt(_variance_of_sum(strata)) / pooled.shape[-1]


def _variance_of_sum(strata: Sequence[Array]) -> Array:
    """The variance of the sum of all runs, estimated within the strata: sum of n_w s_w^2 (0 of a lone run)."""
    lengths = [runs.shape[-1] for runs in strata]
    terms = [n * n / max(n - 1, 1) * runs.var(axis=-1) for n, runs in zip(lengths, strata, strict=True)]
    return np.asarray(sum(terms))


def probability_of_improvement(ours: Strata, theirs: Strata, level: float = LEVEL) -> Interval:
    """The chance that a run of ours scores above one of theirs, P(X > Y) + P(X = Y) / 2, averaged over the workloads.

    A workload's interval is the score interval of Newcombe 2006 (part 2, method 5). The variance which that assumes
    is too small for methods of unequal spread, so it is multiplied by the ratio of the estimated variance (DeLong
    1988) to it where that exceeds 1. The workloads' intervals combine as in Zou and Donner 2008. Runs that share a
    seed count as independent, which is on the safe side where a seed moves both methods alike.

    Args:
        ours: one sequence of run scores per workload, higher is better.
        theirs: the other method's, on the same workloads in the same order.
        level: of the interval.

    Returns:
        NaN ends where a workload has fewer than five runs of either method; ``n`` counts the runs of both.
    """
    pairs = [(np.asarray(x, dtype=float), np.asarray(y, dtype=float)) for x, y in zip(ours, theirs, strict=True)]
    if not pairs or not all(len(x) and len(y) for x, y in pairs):
        return Interval(math.nan, math.nan, math.nan, 0)
    parts = [_superiority(x, y, level) for x, y in pairs]
    chance = sum(part.estimate for part in parts) / len(parts)
    below = math.hypot(*(part.estimate - part.low for part in parts)) / len(parts)
    above = math.hypot(*(part.high - part.estimate for part in parts)) / len(parts)
    return Interval(chance, chance - below, chance + above, sum(part.n for part in parts))


def _superiority(x: Array, y: Array, level: float) -> Interval:
    wins = (np.sign(x[:, None] - y[None, :]) + 1) / 2
    chance, n = float(wins.mean()), len(x) + len(y)
    if min(len(x), len(y)) < MIN_RUNS:
        return Interval(chance, math.nan, math.nan, n)
    estimated = float(wins.mean(axis=1).var(ddof=1)) / len(x) + float(wins.mean(axis=0).var(ddof=1)) / len(y)
    assumed = _assumed_variance(chance, len(x), len(y))
    factor = max(1.0, estimated / assumed) if assumed > 0 else 1.0
    z = float(stats.norm.ppf((1 + level) / 2))
    ends = [_lower_end(side, len(x), len(y), factor, z) for side in (chance, 1 - chance)]
    return Interval(chance, ends[0], 1 - ends[1], n)


def _lower_end(chance: float, n_ours: int, n_theirs: int, factor: float, z: float) -> float:
    """The smallest true chance that lies within z standard errors, its own, of the observed one."""

    def excess(true: float) -> float:
        return chance - true - z * math.sqrt(factor * _assumed_variance(true, n_ours, n_theirs))

    just_below = chance * (1 - 1e-9)  # at the chance itself, 1 would be a root too
    return float(optimize.brentq(excess, 0.0, just_below)) if chance > 0 else 0.0


def _assumed_variance(chance: float, n_ours: int, n_theirs: int) -> float:
    """Newcombe 2006 (part 2), method 5: the variance of Hanley and McNeil 1982 with the mean of both sizes."""
    others = (n_ours + n_theirs) / 2 - 1
    shared = (1 - chance) / (2 - chance) + chance / (1 + chance)
    return chance * (1 - chance) * (1 + others * shared) / (n_ours * n_theirs)


@dataclass(frozen=True)
class Profile:
    """A method's performance profile (Dolan and More 2002): a step function, constant from each ratio to the next.

    Attributes:
        ratios: tau, from 1 up: time to target over the best method's time on the same workload.
        shares: rho, the share of workloads whose ratio is at most tau.
        r_max: where the profile ends.
    """

    ratios: tuple[float, ...]
    shares: tuple[float, ...]
    r_max: float

    @property
    def area(self) -> float:
        """The AlgoPerf score (Dahl 2023): the integral of rho over [1, r_max] over its length; 1 is best, 0 worst."""
        lengths = np.diff([*self.ratios, self.r_max])
        return float(np.dot(lengths, self.shares)) / (self.r_max - 1)


def performance_profile(times: Mapping[str, Sequence[float]], r_max: float = 4.0) -> dict[str, Profile]:
    """Each method's share of workloads on which it is within a factor tau of the fastest, for tau in [1, r_max].

    Args:
        times: per method one time to target (gradient evaluations) per workload, in the same order; inf = missed.
        r_max: the largest ratio that still counts; above 1.
    """
    table = np.array(list(times.values()), dtype=float)
    best = table.min(axis=0, initial=math.inf)
    ratios = np.divide(table, best, out=np.full_like(table, math.inf), where=np.isfinite(best))
    return {method: _profile(row, r_max) for method, row in zip(times, ratios, strict=True)}


def _profile(ratios: Array, r_max: float) -> Profile:
    steps = np.unique([1.0, *ratios[ratios <= r_max]])
    shares = [float(np.mean(ratios <= step)) for step in steps]
    return Profile(tuple(steps.tolist()), tuple(shares), r_max)
