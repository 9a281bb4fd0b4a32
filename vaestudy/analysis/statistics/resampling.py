"""The stratified bootstrap and the studentized interval that it gives.

A plain percentile bootstrap of ten runs covers about 90 % of the truths it should cover 95 % of; the symmetric
bootstrap-t, which compares each resample's distance with that resample's own standard error, keeps its word
(Hall 1992; measured in docs/decisions/0005-intervals.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from vaestudy.analysis.statistics.intervals import LEVEL, Interval

Array = npt.NDArray[np.float64]
Statistic = Callable[[Sequence[Array]], tuple[Array, Array]]
"""From strata [..., n_w] to the estimate [...] and its standard error [...]."""

ROUNDING = 1e-9
"""A spread below this share of the largest one, or of the estimate, is rounding."""


def resample(strata: Sequence[Array], resamples: int, seed: int) -> list[Array]:
    """The strata drawn again with replacement, each from its own values: from [n_w] to [resamples, n_w]."""
    generator = np.random.default_rng(seed)
    return [values[generator.integers(0, len(values), (resamples, len(values)))] for values in strata]


def studentized_interval(strata: Sequence[Array], statistic: Statistic, *, resamples: int, seed: int) -> Interval:
    """The estimate with its symmetric bootstrap-t interval; NaN ends where the values or their resamples lack spread.

    Args:
        strata: the runs of each workload, [n_w] each.
        statistic: gives estimate and standard error of many resamples at once.
        resamples: how many times the strata are drawn again.
        seed: of the draws.
    """
    estimate, error = statistic(strata)
    moved, errors = statistic(resample(strata, resamples, seed))
    reach = float(studentized_reach(moved - estimate, errors, estimate, error))
    return Interval(float(estimate), float(estimate) - reach, float(estimate) + reach, sum(map(len, strata)))


def studentized_reach(distances: Array, errors: Array, estimate: Array, error: Array) -> Array:
    """Half the length of the interval: the standard error times the 95 % quantile of the resamples' |distance| / error.

    NaN where the values have no spread, or where more than 5 % of the resamples moved without any spread of their own
    to measure the distance by.

    Args:
        distances: [resamples, ...] of the resamples' estimates from the value they estimate.
        errors: [resamples, ...] their standard errors.
        estimate: [...] of the values themselves.
        error: [...] its standard error.
    """
    rounding = ROUNDING * np.maximum(errors.max(axis=0), np.abs(estimate))
    measured = errors > rounding
    ratios = np.abs(distances) / np.where(measured, errors, 1.0)
    unmeasured = np.where(np.abs(distances) > rounding, math.inf, 0.0)
    quantile = np.quantile(np.where(measured, ratios, unmeasured), LEVEL, axis=0, method="higher")
    known = np.isfinite(quantile) & (quantile > 0) & (error > rounding)
    return np.asarray(np.where(known, quantile, math.nan) * error)
