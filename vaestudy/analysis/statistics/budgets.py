"""What a tuning budget buys: the winner among n trials and the best score to be expected of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln


def winner(scores: Mapping[int, float | None], budget: int) -> int | None:
    """The number of the trial with the lowest score among the first ``budget`` numbers; ties: the earlier one.

    Args:
        scores: L_val at the cap of the trials that reached it, by number; None where there is none.
    """
    known = [(score, number) for number, score in scores.items() if number < budget and score is not None]
    return min(known)[1] if known else None


def best_winner(scores: Mapping[str, Mapping[int, float | None]], budget: int) -> tuple[str, int] | None:
    """The method and the number of the trial with the lowest score of all methods' first ``budget`` trials."""
    chosen = {method: winner(found, budget) for method, found in scores.items()}
    known = [(scores[method][number], method, number) for method, number in chosen.items() if number is not None]
    return min(known)[1:] if known else None


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
