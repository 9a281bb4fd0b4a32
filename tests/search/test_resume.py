"""After a kill -9 at any point the study goes on: no trial lost, none doubled, the same settings, the same results."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from tests.fixtures.postgres import Postgres
from tests.search.conftest import NewFolder
from tests.search.killed import POINTS, work
from tests.search.toy import cell, run, train
from vaestudy.search import RetryingStorage, Told, open_storage


@pytest.fixture(scope="module")
def context() -> Iterator[multiprocessing.context.ForkServerContext]:
    """Processes that start at once: their server has imported everything."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["tests.search.killed"])
    yield made


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    """What the toy study gives when nobody disturbs it."""
    storage = open_storage("sqlite", tmp_path_factory.mktemp("undisturbed"))
    search = cell(storage, sampler="tpe", pruner="asha")
    run(search)
    told = search.told()
    storage.close()
    return told


def kill(context: multiprocessing.context.ForkServerContext, where: str, folder: Path, point: str) -> None:
    process = context.Process(target=work, args=(where, folder, point, dict(os.environ)))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, "the fault was not met"


def resume(where: str, folder: Path) -> tuple[list[Told], list[FrozenTrial]]:
    """What is told, and all database rows, after a second launch."""
    storage = open_storage(where, folder)
    search = cell(storage, sampler="tpe", pruner="asha")
    run(search)
    assert search.finished()
    rows = optuna.load_study(study_name="toy/digits/adam", storage=storage).trials  # type: ignore[arg-type]  # a proxy
    told = search.told()
    storage.close()
    return told, rows


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_study_ends_as_if_undisturbed(
    context: multiprocessing.context.ForkServerContext, new_folder: NewFolder, undisturbed: list[Told], point: str
) -> None:
    folder = new_folder()
    kill(context, "sqlite", folder, point)
    told, rows = resume("sqlite", folder)
    assert told == undisturbed
    assert all(row.state.is_finished() for row in rows)
    assert sum(row.state == TrialState.FAIL for row in rows) == ("inside ask" in point)


@pytest.mark.parametrize("point", ["inside ask, before ready", "after ask", "after tell"])
def test_a_killed_study_on_postgresql_ends_as_if_undisturbed(
    context: multiprocessing.context.ForkServerContext,
    credential_name: str,
    tmp_path: Path,
    undisturbed: list[Told],
    postgres: Postgres,
    point: str,
) -> None:
    kill(context, credential_name, tmp_path, point)
    told, rows = resume(credential_name, tmp_path)
    assert told == undisturbed
    assert all(row.state.is_finished() for row in rows)


def test_a_postgresql_server_that_restarts_in_mid_study_is_waited_for(
    credential_name: str, tmp_path: Path, postgres: Postgres, undisturbed: list[Told], caplog: pytest.LogCaptureFixture
) -> None:
    storage = open_storage(credential_name, tmp_path)
    search = cell(storage, sampler="tpe", pruner="asha")
    run(search, trials=3)
    ask = search.ask()
    assert ask is not None
    postgres.stop()
    later = threading.Timer(1.0, postgres.start)
    later.start()
    train(search, ask)
    run(search)
    later.join()
    assert search.told() == undisturbed
    storage.close()
    assert "trying again" in caplog.text
    assert "s3cret" not in caplog.text


class LosesReplies(RDBStorage):
    """A database that carries out each of some calls, once, and loses the reply."""

    def __init__(self, folder: Path):
        super().__init__(f"sqlite:///{folder / 'optuna.db'}")
        self._lost: set[str] = set()

    def _lose_reply(self, call: str) -> None:
        if call not in self._lost:
            self._lost.add(call)
            reason = ConnectionError("server closed the connection unexpectedly")
            raise sqlalchemy.exc.OperationalError(call, {}, reason)

    def _create_new_trial(self, *args: object) -> FrozenTrial:
        trial = super()._create_new_trial(*args)  # type: ignore[arg-type]  # passed through
        self._lose_reply("create")
        return trial

    def set_trial_state_values(self, *args: object, **kwargs: object) -> bool:
        done = super().set_trial_state_values(*args, **kwargs)  # type: ignore[arg-type]  # passed through
        self._lose_reply("end")
        return done


def test_calls_carried_out_although_they_raised_lose_and_double_nothing(
    new_folder: NewFolder, undisturbed: list[Told]
) -> None:
    storage = RetryingStorage(LosesReplies(new_folder()), "the database")
    search = cell(storage, sampler="tpe", pruner="asha")
    run(search)
    rows = optuna.load_study(study_name="toy/digits/adam", storage=storage).trials  # type: ignore[arg-type]  # a proxy
    assert search.told() == undisturbed
    storage.close()
    assert [row.state for row in rows].count(TrialState.RUNNING) == 0
    assert [row.state for row in rows].count(TrialState.FAIL) == 1


def test_an_interrupted_trial_is_asked_again_once_with_the_same_settings(new_folder: NewFolder) -> None:
    folder = new_folder()
    first, second = open_storage("sqlite", folder), open_storage("sqlite", folder)
    before = cell(first).ask()
    search = cell(second)
    again, following = search.ask(), search.ask()
    first.close()
    second.close()
    assert before is not None and again is not None and following is not None
    assert (again.number, again.drawn, again.again) == (before.number, before.drawn, True)
    assert (following.number, following.again) == (1, False)


def test_a_cancelled_trial_is_asked_again_by_the_next_launch_only(storage: RetryingStorage) -> None:
    search = cell(storage, trials=1)
    ask = search.ask()
    assert ask is not None
    search.tell(ask.number, "cancelled")
    assert search.ask() is None
    assert not search.finished()
    assert [again.number for again in run(cell(storage, trials=1))] == [0]
