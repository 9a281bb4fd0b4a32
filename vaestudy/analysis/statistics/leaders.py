"""Which method leads at which tuning budget: the chance to be best of n trials, and where the leader changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from vaestudy.analysis.statistics.budgets import (
    MIN_TRIALS,
    at_every_budget,
    banded,
    expected_best,
    minimum_weights,
    ordered_losses,
)
from vaestudy.analysis.statistics.intervals import LEVEL, students_quantile
from vaestudy.analysis.statistics.resampling import Array, resample

BAND_RESAMPLES = 200
LEADER_RESAMPLES = 2_000
TRIALS_PER_DRAW = 5
"""How many trials a method must have for each one of a budget whose band kept its coverage."""
FLOOR = 1e-4
"""Chances nearer to 0 or 1 count as this near on the logit scale, where 0 and 1 themselves have no place."""

Losses = Mapping[str, Sequence[float]]
Counts = npt.NDArray[np.int64]


def probability_best(values: Losses, *, resamples: int = BAND_RESAMPLES, seed: int = 0) -> dict[str, Array]:
    """The chance that a method's best of n trials is the lowest of all methods', for n = 1 .. the fewest trials.

    Exact over all ways to draw n of each method's trials without replacement; equal bests share the win.

    Args:
        values: per method the losses of its trials, finite.
        resamples: how many times the trials are drawn again for the bands.
        seed: of the draws.

    Returns:
        Per method [3, n]: low, estimate, high. The 95 % ends are Student's on the logit scale, with the bootstrap's
        spread; NaN beyond a fifth of the trials, below 25 trials, and where no resample changes the chance: there
        they did not keep their coverage (docs/decisions/0005-intervals.md). Of more than 250 trials they are computed
        at 50 budgets at most (``banded``), and lie on straight lines of the logit scale between them.
    """
    ordered = [ordered_losses(losses) for losses in values.values()]
    budgets = min(map(len, ordered), default=0)
    if not budgets:
        return {method: np.empty((3, 0)) for method in values}
    pooled = np.unique(np.concatenate(ordered))
    estimate = _chances([_counts(losses[None], pooled) for losses in ordered], range(1, budgets + 1))[:, 0]
    reach = np.full_like(estimate, math.nan)
    carried = banded(budgets // TRIALS_PER_DRAW if budgets >= MIN_TRIALS else 0)
    if len(carried):
        moved = [_counts(losses, pooled) for losses in resample(ordered, resamples, seed)]
        reach[:, : carried[-1]] = at_every_budget(carried, _logit_reach(_chances(moved, carried), budgets))
    centre = logit(np.clip(estimate, FLOOR, 1 - FLOOR))
    bands = np.stack([expit(centre - reach), estimate, expit(centre + reach)], axis=1)
    return dict(zip(values, bands, strict=True))


def _logit_reach(chances: Array, trials: int) -> Array:
    """Half the length of the interval on the logit scale: [method, B, n] give [method, n]; NaN without spread.

    Student's quantile and sqrt(N / (N - 1)) make up for the bootstrap's too small spread (Hesterberg 2015).
    """
    spread = logit(np.clip(chances, FLOOR, 1 - FLOOR)).std(axis=1) * math.sqrt(trials / (trials - 1))
    return np.where(spread > 0, students_quantile((1 + LEVEL) / 2, trials - 1) * spread, math.nan)


def _counts(losses: Array, pooled: Array) -> Counts:
    """How often each pooled value occurs in each row of losses: [B, N] gives [B, J]."""
    places = np.searchsorted(pooled, losses) + len(pooled) * np.arange(len(losses))[:, None]
    return np.bincount(places.ravel(), minlength=len(pooled) * len(losses)).reshape(len(losses), -1)


def _chances(counts: Sequence[Counts], budgets: Iterable[int]) -> Array:
    """The chance of every method to be best of n in ``budgets``: counts [B, J] per method give [method, B, n]."""
    reached = [np.cumsum(count[:, ::-1], axis=1)[:, ::-1] for count in counts]  # how many values are at least this one
    tied = int(np.sum([count > 0 for count in counts], axis=0).max())
    chances = []
    for n in budgets:
        survival = [_survival(n, int(count[0].sum())) for count in counts]
        at_least = np.stack([table[r] for table, r in zip(survival, reached, strict=True)])
        larger = np.stack([table[r - c] for table, r, c in zip(survival, reached, counts, strict=True)])
        chances.append(_shared_wins(at_least - larger, larger, tied))
    return np.stack(chances, axis=-1)


def _shared_wins(equal: Array, larger: Array, tied: int) -> Array:
    """Sum over the values v of P(min = v) times the share of the win: [method, B, J] give [method, B].

    With K of the others at v as well the share is 1 / (1 + K). Its mean over K is the integral over t in [0, 1] of the
    product of P(min > v) + t P(min = v) over the others: a polynomial of a degree below ``tied``, the most methods
    that meet at one value, which Gauss's rule integrates exactly.
    """
    nodes, weights = np.polynomial.legendre.leggauss((tied + 1) // 2)
    shares = sum(w / 2 * _product_of_others(larger + (t + 1) / 2 * equal) for t, w in zip(nodes, weights, strict=True))
    return np.asarray((equal * shares).sum(axis=-1))


def _survival(n: int, total: int) -> Array:
    """The chance that the least of n drawn of ``total`` values is one of the a largest, for a = 0 .. total."""
    return np.concatenate([[0.0], np.cumsum(minimum_weights(total)[n - 1][::-1])])


def _product_of_others(factors: Array) -> Array:
    """The product over the first axis of all but the own factor."""
    before, after = np.ones_like(factors), np.ones_like(factors)
    np.cumprod(factors[:-1], axis=0, out=before[1:])
    np.cumprod(factors[:0:-1], axis=0, out=after[-2::-1])
    return before * after


@dataclass(frozen=True)
class LeaderChange:
    """From this budget on (until the next change) the method has the lowest expected best.

    Attributes:
        n: the budget, in trials.
        leader: the method.
        probability: the share of bootstrap resamples of the trials in which it leads at n as well.
    """

    n: int
    leader: str
    probability: float


def leader_changes(values: Losses, *, resamples: int = LEADER_RESAMPLES, seed: int = 0) -> list[LeaderChange]:
    """The budgets at which the method with the lowest expected best of n changes; the first is the leader at n = 1.

    Args:
        values: per method the losses of its trials, finite; budgets end at the fewest trials.
        resamples: how many times the trials are drawn again for the probabilities.
        seed: of the draws.
    """
    methods, budgets = list(values), min(map(len, values.values()), default=0)
    if not budgets:
        return []
    leaders = np.stack([expected_best(losses)[:budgets] for losses in values.values()]).argmin(axis=0)
    starts = [0, *(np.flatnonzero(np.diff(leaders)) + 1).tolist()]
    ordered = [np.sort(losses) for losses in resample(list(map(ordered_losses, values.values())), resamples, seed)]
    moved = np.stack([losses @ minimum_weights(losses.shape[-1])[starts].T for losses in ordered]).argmin(axis=0)
    return [
        LeaderChange(start + 1, methods[leaders[start]], float(np.mean(moved[:, place] == leaders[start])))
        for place, start in enumerate(starts)
    ]
