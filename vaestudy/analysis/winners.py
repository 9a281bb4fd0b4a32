"""Who wins among the first n trials of a search; the rule by which a study confirms and a table judges."""

from __future__ import annotations

from collections.abc import Mapping

from vaestudy.records import DEFAULTS


def winner(scores: Mapping[int, float | None], budget: int) -> int | None:
    """The number of the trial with the lowest score among the first ``budget`` numbers; ties: the earlier one.

    Args:
        scores: L_val at the cap of the trials that reached it, by number; None where there is none.
        budget: 0 stands for no tuning at all, which chooses the published defaults.
    """
    if budget == 0:
        return DEFAULTS
    known = [(score, number) for number, score in scores.items() if number < budget and score is not None]
    return min(known)[1] if known else None


def best_winner(scores: Mapping[str, Mapping[int, float | None]], budget: int) -> tuple[str, int] | None:
    """The method and the number of the trial with the lowest score of all methods' first ``budget`` trials."""
    chosen = {method: winner(found, budget) for method, found in scores.items()}
    known = [(scores[method][number], method, number) for method, number in chosen.items() if number is not None]
    return min(known)[1:] if known else None
