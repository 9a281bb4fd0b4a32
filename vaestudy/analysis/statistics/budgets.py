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


def expected_best(values: Sequence[float]) -> Array:
    """The expected minimum of n of the values drawn without replacement, for n = 1 .. N.

    With v_(1) <= ... <= v_(N): sum over i of v_(i) C(N-i, n-1) / C(N, n) (Dodge 2019, without replacement).

    Raises:
        ValueError: a value is not finite.
    """
    return np.asarray(minimum_weights(len(values)) @ ordered_losses(values))


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
    no band kept its coverage beyond N / 2, or with fewer than 25 trials (docs/decisions/0005-intervals.md).

    Args:
        values: the losses of all trials of a cell, finite.
        resamples: how many times the trials are drawn again.
        seed: of the draws.

    Returns:
        [3, N]: low, estimate, high; NaN ends beyond N / 2 and everywhere below 25 trials.
    """
    ordered, estimate = ordered_losses(values), expected_best(values)
    reach = np.full_like(estimate, math.nan)
    budgets = len(ordered) // 2 if len(ordered) >= MIN_TRIALS else 0
    if budgets:
        moved = np.sort(resample([ordered], resamples, seed)[0], axis=-1)
        distances = moved @ minimum_weights(len(ordered))[:budgets].T - _with_replacement(ordered, budgets)
        errors = _jackknife_errors(moved, budgets)
        reach[:budgets] = studentized_reach(distances, errors, estimate[:budgets], _jackknife_errors(ordered, budgets))
    return np.stack([estimate - reach, estimate, estimate + reach])


def _with_replacement(ordered: Array, budgets: int) -> Array:
    total, n = len(ordered), np.arange(1, budgets + 1)[:, None]
    at_least = (np.arange(total, -1, -1)[None, :] / total) ** n
    return np.asarray((at_least[:, :-1] - at_least[:, 1:]) @ ordered)


def _jackknife_errors(ordered: Array, budgets: int) -> Array:
    """The jackknife standard errors of the expected best of n <= budgets: [..., N] ordered values give [..., n]."""
    total = ordered.shape[-1]
    return np.stack([_jackknife_error(ordered, weights) for weights in minimum_weights(total - 1)[:budgets]], axis=-1)


def _jackknife_error(ordered: Array, weights: Array) -> Array:
    """sqrt((N - 1) / N sum of squared deviations) of the N weighted sums that each leave one value out."""
    total = ordered.shape[-1]
    before, after = (
        np.append(weights, 0.0),
        np.insert(weights, 0, 0.0),
    )  # of the values before and after the one left out
    without_one = np.tril(np.tile(before, (total, 1)), -1) + np.triu(np.tile(after, (total, 1)), 1)
    return np.asarray(math.sqrt(total - 1) * (ordered @ without_one.T).std(axis=-1))
