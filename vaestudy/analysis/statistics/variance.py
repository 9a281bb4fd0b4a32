"""Where the spread of the scores comes from: initialisation, data order, latent noise, hyperparameters.

Each source is varied alone while the others keep one seed (Bouthillier et al. 2021, "Accounting for Variance in Machine
Learning Benchmarks", section 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from vaestudy.analysis.statistics.intervals import Interval

NOMINAL_LEVEL = 0.99
LEAST_VALUES = 10
"""From fewer values than this their kurtosis, and so the interval of their variance, cannot be told: of six normal ones
the ends would lie a factor of 340 apart."""


@dataclass(frozen=True)
class Component:
    """What one source adds to the spread.

    Attributes:
        variance: in nats^2; NaN where fewer than two scores tell it.
        share: of the sum of the seeds' and the hyperparameters' variance. The shares of the three streams need not
            add up to that of the seeds: the rest is their interaction.
    """

    variance: Interval
    share: float


def variance_split(
    baseline: Sequence[float],
    only_init: Sequence[float],
    only_order: Sequence[float],
    only_noise: Sequence[float],
    trials: Sequence[float],
) -> dict[str, Component]:
    """The variance of L_val by source: ``initialisation``, ``order``, ``noise``, ``seeds`` (all three, with their
    interaction) and ``hyperparameters``.

    All search trials train under one tuning seed, so their variance is that of the hyperparameters already: it holds
    for this seed, as each stream's variance holds for the seed at which the other two streams stay.

    Args:
        baseline: scores of one setting under seeds that change all three streams, nats per example.
        only_init: scores of that setting where the initialisation alone changes.
        only_order: where the data order and binarisation alone change.
        only_noise: where the latent noise alone changes.
        trials: losses of the search trials at the cap. Runs that diverged or collapsed are left out of all five: they
            are counted, not averaged.

    Returns:
        The components, each with the interval of ``variance_interval``.

    Raises:
        ValueError: a score is not finite.
    """
    variances = {
        "initialisation": variance_interval(only_init),
        "order": variance_interval(only_order),
        "noise": variance_interval(only_noise),
        "seeds": variance_interval(baseline),
        "hyperparameters": variance_interval(trials),
    }
    total = variances["seeds"].estimate + variances["hyperparameters"].estimate
    return {source: Component(found, _ratio(found.estimate, total)) for source, found in variances.items()}


def variance_interval(values: Sequence[float]) -> Interval:
    """The sample variance with Bonett's interval at a nominal 99 %, which covers it in 95 of 100 samples or nearly so.

    Bonett 2006, "Approximate confidence interval for standard deviation of nonnormal distributions", eq. 3: the
    logarithm of the variance has a standard error that grows with the kurtosis, taken about a trimmed mean. Kurtosis is
    underestimated where values are skewed, hence the 99 %: of 10 to 100 normal values the variance is then covered in
    99 of 100 samples, of exponential ones in 94 to 97 (at a nominal 95 % in 88 to 91). The chi-squared interval, which
    is exact for normal values, covers 70 to 77 of them (docs/decisions/0005-intervals.md).

    Returns:
        The interval; its ends are unknown (NaN) below ``LEAST_VALUES`` values and where all values are equal, the
        variance itself below two values.
    """
    x = _finite(values)
    n = len(x)
    variance = float(x.var(ddof=1)) if n >= 2 else math.nan
    if n < LEAST_VALUES or variance == 0:
        return Interval(variance, math.nan, math.nan, n)
    z = float(stats.norm.ppf((1 + NOMINAL_LEVEL) / 2))
    correction = n / (n - z)
    error = correction * math.sqrt((_kurtosis(x) - (n - 3) / n) / (n - 1))
    return Interval(
        variance, correction * variance * math.exp(-z * error), correction * variance * math.exp(z * error), n
    )


def _kurtosis(x: npt.NDArray[np.float64]) -> float:
    """Bonett's: about the mean that is left when 1 / (2 sqrt(n - 4)) of the values are trimmed from either end."""
    n = len(x)
    centre = stats.trim_mean(x, 1 / (2 * math.sqrt(n - 4)))
    return float(n * ((x - centre) ** 4).sum() / ((x - x.mean()) ** 2).sum() ** 2)


def _ratio(part: float, total: float) -> float:
    return part / total if total > 0 else math.nan


def _finite(values: Sequence[float]) -> npt.NDArray[np.float64]:
    x = np.asarray(values, dtype=float)
    if not np.isfinite(x).all():
        bad = x[~np.isfinite(x)][0]
        raise ValueError(f"a variance is taken over finite scores, got {bad}; leave runs that diverged out")
    return x
