"""How much a ranking owes to the chosen search spaces: it is recomputed on random sub-boxes of them.

Trials that were drawn independently and uniformly in a space are, within any box in it, an independent and uniform
search of that box. So the trials at hand tell what the comparison would have been had each space been declared smaller.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

VOLUME = 0.25
"""What a box keeps of its space: of two dimensions, half of each."""

LEAST = 5
"""A box in which some method has fewer trials than this is left out."""

Trials = Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]
"""By method: settings in the unit cube [n, d], and L_val of the same trials [n] in nats per example.

A setting whose condition did not hold is NaN: it lies in every box.
"""


@dataclass(frozen=True)
class RankRange:
    """The ranks of one method over the boxes, 1 for the best; NaN where no box was used.

    Attributes:
        best: its lowest rank.
        low: 2.5 % of the boxes give it a rank below this one.
        median: its middle rank.
        high: 2.5 % give it a rank above this one.
        worst: its highest rank.
        leads: the share of the boxes in which it ranks first, ties among the first included.
    """

    best: float
    low: float
    median: float
    high: float
    worst: float
    leads: float


@dataclass(frozen=True)
class SubboxRanks:
    """The ranks by method, and how many boxes were used and left out for want of trials."""

    ranks: dict[str, RankRange]
    used: int
    left_out: int


def subbox_ranks(trials: Trials, boxes: int = 1000, seed: int = 0, least: int = LEAST) -> SubboxRanks:
    """The range of ranks when the comparison is recomputed on random sub-boxes of the search spaces.

    Each box takes of every dimension of every method's space an interval of equal length at a random place, so long
    that the box has ``VOLUME`` of the space: methods with more dimensions lose no more trials than others. Methods are
    ranked by the best loss of the first n of their trials in the box, where n is the number that the method with the
    fewest has there; ties share their mean rank. The ranges describe what the choice of spaces does to the ranking of
    these trials: they are no confidence intervals.

    Args:
        trials: by method its independent random trials in the order of their numbers; a loss that is not finite
            (diverged) is worse than any other. A method without searched dimensions keeps all of its trials.
        boxes: how many to draw.
        seed: of the boxes; a method's boxes do not depend on which other methods there are.
        least: see ``LEAST``.

    Raises:
        ValueError: settings and losses do not match, or a setting lies outside of the unit cube.
    """
    inside = {method: _inside(method, *data, boxes, seed) for method, data in trials.items()}
    budgets = np.min([held.sum(axis=1) for held in inside.values()], axis=0)
    kept = budgets >= max(least, 1)
    bests = [_best_of_first(inside[method][kept], losses, budgets[kept]) for method, (_, losses) in trials.items()]
    ranks = stats.rankdata(bests, axis=0)
    leads = np.equal(bests, np.min(bests, axis=0))
    used = int(kept.sum())
    return SubboxRanks(dict(zip(trials, map(_range, ranks, leads), strict=True)), used, boxes - used)


def _inside(
    method: str, settings: npt.NDArray[np.float64], losses: npt.NDArray[np.float64], boxes: int, seed: int
) -> npt.NDArray[np.bool_]:
    """Which trials lie in which of the method's boxes, [boxes, n]."""
    _check(method, settings, losses)
    dimensions = settings.shape[1]
    held = np.ones((boxes, len(losses)), dtype=bool)
    if dimensions == 0:
        return held
    side = VOLUME ** (1 / dimensions)
    starts = np.random.default_rng([seed, *method.encode()]).uniform(0.0, 1.0 - side, size=(boxes, dimensions))
    for start, values in zip(starts.T[:, :, None], settings.T, strict=True):
        held &= ((values >= start) & (values <= start + side)) | np.isnan(values)
    return held


def _best_of_first(
    held: npt.NDArray[np.bool_], losses: npt.NDArray[np.float64], budgets: npt.NDArray[np.int_]
) -> npt.NDArray[np.float64]:
    """The lowest loss of the first ``budgets`` trials in each box, [boxes]; infinite where all of them diverged."""
    counted = held & (held.cumsum(axis=1) <= budgets[:, None])
    values = np.where(np.isfinite(losses), losses, np.inf)
    return np.asarray(np.where(counted, values, np.inf).min(axis=1, initial=np.inf))


def _range(ranks: npt.NDArray[np.float64], leads: npt.NDArray[np.bool_]) -> RankRange:
    if len(ranks) == 0:
        return RankRange(*[math.nan] * 6)
    shares = [0.0, 0.025, 0.5, 0.975, 1.0]
    best, low, median, high, worst = np.quantile(ranks, shares, method="inverted_cdf").tolist()
    return RankRange(best, low, median, high, worst, float(leads.mean()))


def _check(method: str, settings: npt.NDArray[np.float64], losses: npt.NDArray[np.float64]) -> None:
    if settings.ndim != 2 or len(settings) != len(losses):
        raise ValueError(
            f"{method}: settings are [trials, dimensions] and losses [trials], got {settings.shape}, {losses.shape}"
        )
    outside = settings[(settings < 0) | (settings > 1)]
    if len(outside):
        raise ValueError(f"{method}: settings lie in the unit cube [0, 1], got {outside[0]}")
