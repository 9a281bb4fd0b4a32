"""Who wins a search, by hand."""

from __future__ import annotations

import pytest

from vaestudy.analysis.winners import best_winner, winner
from vaestudy.records import DEFAULTS

SCORES: dict[int, float | None] = {0: 5.0, 1: None, 2: 3.0, 3: 4.0, 4: 3.0, 5: 1.0}


@pytest.mark.parametrize(("budget", "expected"), [(1, 0), (2, 0), (3, 2), (4, 2), (5, 2), (6, 5), (99, 5)])
def test_the_lowest_score_of_the_first_trials_wins_and_of_ties_the_earlier(budget: int, expected: int) -> None:
    assert winner(SCORES, budget) == expected


def test_the_order_in_which_trials_ended_does_not_matter() -> None:
    assert winner(dict(reversed(SCORES.items())), 5) == 2


def test_no_tuning_chooses_the_published_defaults_whatever_was_tried() -> None:
    assert winner(SCORES, 0) == winner({}, 0) == DEFAULTS


@pytest.mark.parametrize("scores", [{}, {0: None}, {0: None, 3: 1.0}])
def test_nobody_wins_where_no_trial_has_a_score(scores: dict[int, float | None]) -> None:
    assert winner(scores, 2) is None


def test_the_best_of_all_methods_is_found_within_the_budget() -> None:
    scores = {"sgd": {0: 3.0, 1: 2.5, 2: 0.5}, "adam": {0: 4.0, 1: 2.0}, "none": {0: None}}
    assert best_winner(scores, 1) == ("sgd", 0)
    assert best_winner(scores, 2) == ("adam", 1)
    assert best_winner(scores, 3) == ("sgd", 2)


def test_of_methods_that_tie_the_first_by_name_is_the_best() -> None:
    assert best_winner({"sgd": {0: 2.0}, "adam": {1: 2.0}}, 2) == ("adam", 1)


def test_there_is_no_best_method_where_none_has_a_score() -> None:
    assert best_winner({"sgd": {0: None}, "adam": {}}, 2) is None
