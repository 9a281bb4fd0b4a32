"""What the pruners may and may not stop."""

from __future__ import annotations

import math

import pytest

from tests.search.toy import ADAM, EPOCHS, cell, loss
from vaestudy.records import Outcome
from vaestudy.search import CellSearch, RetryingStorage

PRUNERS = ["asha", "hyperband", "median"]


def stops(search: CellSearch) -> list[int]:
    """The epochs at which trials were stopped; the later trials of this study are ever worse."""
    epochs = []
    while (ask := search.ask()) is not None:
        for epoch in (0, 1, 3, 4, 8, EPOCHS):
            if search.report(ask.number, epoch, ask.number + loss(ask, epoch)):
                epochs.append(epoch)
                search.tell(ask.number, "pruned")
                break
        else:
            search.tell(ask.number, "done", float(ask.number))
    return epochs


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("first_rung", [1, 4])
def test_nothing_is_pruned_before_the_first_rung_or_at_the_cap(
    storage: RetryingStorage, pruner: str, first_rung: int
) -> None:
    epochs = stops(cell(storage, trials=8, pruner=pruner, first_rung=first_rung, spaces={"adam": {}}))
    assert epochs
    assert all(first_rung <= epoch < EPOCHS for epoch in epochs)


def test_without_a_pruner_nothing_is_pruned(storage: RetryingStorage) -> None:
    assert stops(cell(storage, trials=4, pruner="none")) == []


def test_a_value_that_is_not_finite_is_neither_stored_nor_a_reason_to_prune(storage: RetryingStorage) -> None:
    search = cell(storage, pruner="asha")
    ask = search.ask()
    assert ask is not None
    assert not search.report(ask.number, 1, math.nan)
    assert not search.report(ask.number, 2, math.inf)
    search.tell(ask.number, "pruned")
    assert search.told()[0].value is None


def test_an_epoch_reported_again_keeps_its_value_and_its_verdict(storage: RetryingStorage) -> None:
    search = cell(storage, trials=2, pruner="asha", spaces={"adam": {}})
    good, bad = search.ask(), search.ask()
    assert good is not None and bad is not None
    assert not search.report(good.number, 1, 1.0)
    assert search.report(bad.number, 1, 2.0)
    relaunched = cell(storage, trials=2, pruner="asha", spaces={"adam": {}})
    assert relaunched.report(bad.number, 1, 0.5)
    relaunched.tell(bad.number, "pruned")
    assert relaunched.told()[0].value == 2.0


@pytest.mark.parametrize(("outcome", "ends"), [("done", False), ("pruned", True), ("diverged", True)])
def test_a_told_trial_that_runs_again_goes_as_far_as_before(
    storage: RetryingStorage, outcome: Outcome, ends: bool
) -> None:
    search = cell(storage, spaces={"adam": ADAM})
    ask = search.ask()
    assert ask is not None
    search.tell(ask.number, outcome, 1.0)
    assert search.report(ask.number, 3, 1.0) is ends
