"""Ask, report and tell within one launch."""

from __future__ import annotations

import math
import warnings
from typing import Any

import optuna
import pytest
import sqlalchemy

from tests.search.toy import ADAM, EPOCHS, SGD, cell, loss, run, train
from vaestudy.errors import ConflictError
from vaestudy.search import Ask, CellSearch, RetryingStorage, Told


def asked(search: CellSearch) -> Ask:
    ask = search.ask()
    assert ask is not None
    return ask


def test_as_many_trials_are_asked_as_the_budget_says(storage: RetryingStorage) -> None:
    search = cell(storage, trials=6)
    assert [ask.number for ask in run(search)] == [0, 1, 2, 3, 4, 5]
    assert search.ask() is None
    assert search.finished()
    assert search.counts() == {"done": 6, "pruned": 0, "diverged": 0, "failed": 0, "running": 0}


def test_a_search_is_unfinished_while_a_trial_runs(storage: RetryingStorage) -> None:
    search = cell(storage, trials=1)
    asked(search)
    assert search.ask() is None
    assert not search.finished()
    assert search.counts()["running"] == 1


def test_what_was_told_can_be_read_back(storage: RetryingStorage) -> None:
    search = cell(storage)
    ask = asked(search)
    search.tell(ask.number, "done", 1.25)
    assert search.told() == [Told(0, "adam", ask.drawn, "done", 1.25, "")]


def test_of_two_tells_the_first_stands(storage: RetryingStorage) -> None:
    search = cell(storage)
    ask = asked(search)
    search.tell(ask.number, "done", 1.25)
    search.tell(ask.number, "failed", reason="node lost")
    assert [(told.outcome, told.value) for told in search.told()] == [("done", 1.25)]


def test_no_call_reads_more_where_many_trials_run(storage: RetryingStorage) -> None:
    search = cell(storage, trials=60)
    named: list[int] = []

    def count(
        connection: object, cursor: object, statement: str, parameters: tuple[object, ...], *rest: object
    ) -> None:
        named[-1] += len(parameters)  # rows are read by their keys

    sqlalchemy.event.listen(storage.backend.engine, "before_cursor_execute", count)
    for _ in range(50):
        named.append(0)
        ask = asked(search)
        search.report(ask.number, 1, 1.0)
    assert named[-1] <= named[1]


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_done_trial_needs_a_finite_value(storage: RetryingStorage, value: float | None) -> None:
    search = cell(storage)
    with pytest.raises(ValueError, match="expected a finite one"):
        search.tell(asked(search).number, "done", value)


def test_a_diverged_trial_is_a_pruned_row_with_its_values_and_its_outcome(storage: RetryingStorage) -> None:
    search = cell(storage)
    ask = asked(search)
    search.report(ask.number, 1, 3.5)
    search.report(ask.number, 2, math.nan)
    search.tell(ask.number, "diverged")
    [row] = optuna.load_study(study_name="toy/digits/adam", storage=storage).trials  # type: ignore[arg-type]  # a proxy
    assert row.state == optuna.trial.TrialState.PRUNED
    assert row.user_attrs["outcome"] == "diverged"
    assert row.intermediate_values == {1: 3.5}
    assert [(told.outcome, told.value) for told in search.told()] == [("diverged", None)]


def test_tpe_leaves_the_region_where_trials_diverge(storage: RetryingStorage) -> None:
    search = cell(storage, trials=30, sampler="tpe", spaces={"sgd": SGD})
    diverged = []
    while (ask := search.ask()) is not None:
        diverged.append(ask.drawn["lr"] > 0.1)  # half of the space
        if diverged[-1]:
            search.tell(ask.number, "diverged")
        else:
            search.tell(ask.number, "done", loss(ask, EPOCHS))
    assert sum(diverged[:10]) >= 3  # of the random start-up trials
    assert sum(diverged[20:]) <= 1


def test_a_failed_trial_counts_as_asked_and_keeps_its_reason(storage: RetryingStorage) -> None:
    search = cell(storage, trials=2)
    search.tell(asked(search).number, "failed", reason="worker died three times")
    assert len(run(search)) == 1
    assert search.finished()
    assert search.told()[0].reason == "worker died three times"


def test_a_failed_trial_is_retried_under_its_number_with_its_settings(storage: RetryingStorage) -> None:
    search = cell(storage, trials=3)
    failed = asked(search)
    search.tell(failed.number, "failed", reason="node lost")
    run(search)
    assert search.retry_failed() == 1
    assert search.retry_failed() == 0
    assert not search.finished()
    again = asked(search)
    assert again == Ask(failed.number, failed.method, failed.drawn, again=True)
    train(search, again)
    assert search.finished()
    assert [told.outcome for told in search.told()] == ["done", "done", "done"]


def test_a_range_is_drawn_only_where_its_condition_holds(storage: RetryingStorage) -> None:
    asks = run(cell(storage, trials=8))
    assert {ask.drawn["schedule"] for ask in asks} == {"constant", "cosine"}
    assert all(("warmup" in ask.drawn) == (ask.drawn["schedule"] == "cosine") for ask in asks)


def test_a_joint_search_draws_the_method_and_only_its_own_ranges(storage: RetryingStorage) -> None:
    asks = run(cell(storage, trials=8, sampler="tpe", spaces={"adam": ADAM, "sgd": SGD}))
    assert {ask.method for ask in asks} == {"adam", "sgd"}
    assert all(("layers" in ask.drawn) == (ask.method == "adam") for ask in asks)
    assert all(ask.drawn["lr"] >= 1e-3 for ask in asks if ask.method == "sgd")


@pytest.mark.parametrize("sampler", ["random", "sobol", "tpe", "gp"])
def test_a_cell_with_nothing_to_search_asks_for_empty_draws(storage: RetryingStorage, sampler: str) -> None:
    search = cell(storage, trials=2, sampler=sampler, spaces={"adam": {}})
    assert [ask.drawn for ask in run(search)] == [{}, {}]


def test_another_study_file_under_the_same_name_is_a_conflict(storage: RetryingStorage) -> None:
    cell(storage, identity="one")
    with pytest.raises(ConflictError, match="another study file"):
        cell(storage, identity="two")


def test_a_study_that_maximises_is_a_conflict(storage: RetryingStorage) -> None:
    made: Any = storage
    study = optuna.create_study(study_name="toy/digits/adam", storage=made, direction="maximize")
    study.set_user_attr("identity", "hash")
    with pytest.raises(ConflictError, match="maximises"):
        cell(storage)


def test_optunas_warnings_stay_on_for_the_users_own_code(storage: RetryingStorage) -> None:
    level = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(cell(storage, trials=2, sampler="tpe"))
    assert optuna.logging.get_verbosity() == level
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        optuna.samplers.TPESampler(group=True)
