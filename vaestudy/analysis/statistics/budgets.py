"""What a tuning budget buys: the best score to be expected of n trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from vaestudy.analysis.statistics.resampling import Array, resample, studentized_reach

RESAMPLES = 2_000
MIN_TRIALS = 25
"""The fewest trials whose bands kept their coverage in docs/decisions/0005-intervals.md."""
BAND_BUDGETS = 50
"""The most budgets whose bands are computed: the time of all would grow with the square of the trials."""

Budgets = npt.NDArray[np.int64]


def expected_best(values: Sequence[float]) -> Array:
    """The expected minimum of n of the values drawn without replacement, for n = 1 .. N.

    With v_(1) <= ... <= v_(N): sum over i of v_(i) C(N-i, n-1) / C(N, n) (Dodge 2019, without replacement). It is
    summed over the distances to v_(1), so that equal values give exactly themselves.

    Raises:
        ValueError: a value is not finite.
    """
    ordered = ordered_losses(values)
    least = ordered[:1]
    return np.asarray(least + minimum_weights(len(ordered)) @ (ordered - least))


def ordered_losses(values: Sequence[float]) -> Array:
    """The losses from best to worst.

    Raises:
        ValueError: one is not finite.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    if not np.isfinite(ordered).all():
        wrong = ordered[~np.isfinite(ordered)][0]
        raise ValueError(f"the best of n needs finite losses, not {wrong}: give a failed trial the trivial loss")
    return ordered


@lru_cache
def minimum_weights(total: int) -> Array:
    """The chance that the i-th smallest of ``total`` values is the least of n: C(N-i, n-1) / C(N, n), as [n, i]."""
    n = np.arange(1, total + 1)[:, None]
    larger = np.arange(total - 1, -1, -1)[None, :]
    possible = larger >= n - 1
    chance = np.exp(_log_choose(np.where(possible, larger, n - 1), n - 1) - _log_choose(total, n))
    return np.where(possible, chance, 0.0)


def _log_choose(n: npt.ArrayLike, k: npt.ArrayLike) -> Array:
    n, k = np.asarray(n, dtype=float), np.asarray(k, dtype=float)
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def expected_best_band(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """The expected best of n with its pointwise 95 % symmetric bootstrap-t band, for n = 1 .. N.

    The standard errors are the jackknife's. A resample's distance is taken from the expected minimum of n draws with
    replacement, since that is what the resample estimates. The end of the curve rests on the two or three best trials:
    no band kept its coverage beyond N / 2, or with fewer than 25 trials (docs/decisions/0005-intervals.md). Of more
    than 100 trials the band is computed at 50 budgets at most (``banded``), and lies on straight lines between them.

    Args:
        values: the losses of all trials of a cell, finite.
        resamples: how many times the trials are drawn again.
        seed: of the draws.

    Returns:
        [3, N]: low, estimate, high; NaN ends beyond N / 2 and everywhere below 25 trials.
    """
    ordered, estimate = ordered_losses(values), expected_best(values)
    reach = np.full_like(estimate, math.nan)
    budgets = banded(len(ordered) // 2 if len(ordered) >= MIN_TRIALS else 0)
    if len(budgets):
        moved = np.sort(resample([ordered], resamples, seed)[0], axis=-1)
        weights = minimum_weights(len(ordered))[budgets - 1]
        distances = moved @ weights.T - _with_replacement(ordered, budgets)
        errors, error = _jackknife_errors(moved, budgets), _jackknife_errors(ordered, budgets)
        found = studentized_reach(distances, errors, estimate[budgets - 1], error)
        reach[: budgets[-1]] = at_every_budget(budgets, found)
    return np.stack([estimate - reach, estimate, estimate + reach])


def banded(most: int) -> Budgets:
    """The budgets up to ``most`` whose bands are computed: all of them, or some that grow by about the same factor."""
    if most <= BAND_BUDGETS:
        return np.arange(1, most + 1)
    return np.unique(np.geomspace(1, most, BAND_BUDGETS).round().astype(np.int64))


def at_every_budget(budgets: Budgets, reach: Array) -> Array:
    """What is known at some budgets, [..., n], at every one up to the last: on straight lines between them."""
    every = np.arange(1, budgets[-1] + 1)
    if len(every) == len(budgets):
        return reach
    return np.apply_along_axis(lambda known: np.interp(every, budgets, known), -1, reach)


def _with_replacement(ordered: Array, budgets: Budgets) -> Array:
    """The expected minimum of n values drawn with replacement, for n in ``budgets``."""
    total = len(ordered)
    at_least = (np.arange(total, -1, -1)[None, :] / total) ** budgets[:, None]
    return np.asarray((at_least[:, :-1] - at_least[:, 1:]) @ ordered)


def _jackknife_errors(ordered: Array, budgets: Budgets) -> Array:
    """The jackknife standard errors of the expected best of n in ``budgets``: [..., N] ordered values give [..., n]."""
    gaps, weights = np.diff(ordered), minimum_weights(ordered.shape[-1] - 1)
    return np.stack([_jackknife_error(gaps, weights[n - 1]) for n in budgets], axis=-1)


def _jackknife_error(gaps: Array, weights: Array) -> Array:
    """sqrt((N - 1) / N sum of squared deviations) of the N weighted sums that each leave one value out.

    Where the next value is left out instead, the sum falls by the gap between the two, times its weight.
    """
    fallen = np.cumsum(weights * gaps, axis=-1)
    mean = fallen.sum(axis=-1) / (gaps.shape[-1] + 1)  # of N sums, of which the first has not fallen
    squares = ((fallen - mean[..., None]) ** 2).sum(axis=-1) + mean**2
    return np.asarray(np.sqrt(gaps.shape[-1] / (gaps.shape[-1] + 1) * squares))
