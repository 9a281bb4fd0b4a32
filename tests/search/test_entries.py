"""The rows of a trial database as those see them who do not search."""

from __future__ import annotations

from tests.search.toy import cell, run
from vaestudy.search import RetryingStorage, entries, settle

NAME = "toy/digits/adam"


def test_a_search_that_has_not_begun_has_no_rows(storage: RetryingStorage) -> None:
    assert entries(storage, NAME) is None


def test_rows_tell_their_trial_and_how_it_ended(storage: RetryingStorage) -> None:
    search = cell(storage)
    run(search, 2)
    ask = search.ask()
    assert ask is not None
    first, second, third = entries(storage, NAME) or []
    assert [first.told, second.told] == search.told()
    assert (third.number, third.drawn, third.open, third.told) == (ask.number, ask.drawn, True, None)


def test_a_trial_is_settled_once_and_as_the_search_would_tell_it(storage: RetryingStorage) -> None:
    search = cell(storage)
    run(search, 1)
    ask = search.ask()
    assert ask is not None
    for outcome, value in (("diverged", None), ("done", 1.0)):  # of two tells the first stands
        settle(storage, NAME, ask.number, outcome, value, "not finite")
    search.tell(ask.number, "done", 1.0)  # too late
    for told in (search.told(), cell(storage).told()):
        assert [(one.outcome, one.value, one.reason) for one in told][1:] == [("diverged", None, "not finite")]
