"""Opening the trial database: what each fault says, and that no message says the password."""

from __future__ import annotations

import pickle
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from tests.fixtures.postgres import Postgres
from tests.search.conftest import NewFolder
from tests.search.toy import cell, run
from vaestudy.errors import ConflictError, DataError, DiskError, ServiceError, UsageError, VaestudyError
from vaestudy.search import RetryingStorage, open_storage

CREDENTIAL = "VAESTUDY_CREDENTIAL_LAB_DB"


def message(where: str, folder: Path, error: type[VaestudyError]) -> str:
    """What opening says, which must not be the password."""
    with pytest.raises(error) as caught:
        open_storage(where, folder)
    assert "s3cret" not in str(caught.value)
    return str(caught.value)


def test_a_sqlite_database_lies_in_the_studys_folder(tmp_path: Path) -> None:
    open_storage("sqlite", tmp_path).close()
    assert (tmp_path / "optuna.db").is_file()


def test_a_missing_folder_is_a_disk_error(tmp_path: Path) -> None:
    assert "storage.results" in message("sqlite", tmp_path / "missing", DiskError)


def test_a_file_that_is_no_database_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "optuna.db").write_bytes(b"not a database" * 100)
    assert "is not a database" in message("sqlite", tmp_path, DataError)


@pytest.mark.parametrize(("version", "word"), [("v99.0.0.a", "newer"), ("v2.6.0.a", "older")])
def test_tables_of_another_version_are_a_conflict(new_folder: NewFolder, version: str, word: str) -> None:
    folder = new_folder()
    with closing(sqlite3.connect(folder / "optuna.db", isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    assert f"{version}, {word} than" in message("sqlite", folder, ConflictError)


def test_a_full_disk_is_a_disk_error_at_once(new_folder: NewFolder) -> None:
    backend = RDBStorage(f"sqlite:///{new_folder() / 'optuna.db'}")
    storage = RetryingStorage(backend, "the database")
    search = cell(storage, trials=1000)
    backend.engine.dispose()
    sqlalchemy.event.listen(backend.engine, "connect", lambda raw, _: raw.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(DiskError, match="disk is full"):
        run(search)
    storage.close()


@pytest.mark.parametrize("scheme", ["postgres", "postgress"])
def test_a_misspelt_scheme_gets_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv(CREDENTIAL, f"{scheme}://user:s3cret@localhost/db")
    assert "did you mean 'postgresql'?" in message("lab-db", tmp_path, UsageError)


@pytest.mark.parametrize(
    "address", ["mysql://user:s3cret@localhost/db", "s3cret", "", "postgresql://user:s3cret@localhost:port/db"]
)
def test_an_address_that_is_not_postgresqls_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv(CREDENTIAL, address)
    assert "postgresql+psycopg://user:password@host:5432/database" in message("lab-db", tmp_path, UsageError)


def test_a_missing_driver_names_the_extra_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CREDENTIAL, "postgresql://user:s3cret@localhost/db")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'vaestudy[postgres]'" in message("lab-db", tmp_path, UsageError)


def test_an_unreachable_server_is_named_without_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:  # bound, never listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv(CREDENTIAL, f"postgresql://user:s3cret@127.0.0.1:{closed.getsockname()[1]}/db")
        said = message("lab-db", tmp_path, ServiceError)
    assert "credential 'lab-db'" in said
    assert "127.0.0.1" in said
    assert "psql" in said


def test_a_wrong_password_is_a_service_error(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CREDENTIAL, postgres.address("postgres", password="s3cret-but-wrong"))
    assert "password authentication failed" in message("lab-db", tmp_path, ServiceError)


def test_a_missing_database_is_a_service_error(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CREDENTIAL, postgres.address("nowhere"))
    assert '"nowhere" does not exist' in message("lab-db", tmp_path, ServiceError)


def test_a_server_away_past_the_deadline_ends_the_study(postgres: Postgres) -> None:
    backend = RDBStorage(postgres.address(postgres.new_database()), engine_kwargs={"pool_pre_ping": True})
    storage = RetryingStorage(backend, "the database", deadline_seconds=0.1)
    search = cell(storage)
    postgres.stop()
    try:
        with pytest.raises(ServiceError, match="the database cannot be used"):
            search.ask()
    finally:
        postgres.start()
    storage.close()


def test_a_connection_lost_between_two_questions_of_one_call_is_asked_again(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    backend = RDBStorage(postgres.address(postgres.new_database()), engine_kwargs={"pool_pre_ping": True})
    storage = RetryingStorage(backend, "the database")
    run(cell(storage))
    (study,) = storage.get_all_studies()
    trials = backend.get_all_trials(study._study_id)
    cut: list[int] = []

    def cut_it(connection: sqlalchemy.Connection, cursor: object, statement: str, *rest: object) -> None:
        if "FROM trial_user_attributes" in statement and not cut:
            cut.append(connection.connection.dbapi_connection.info.backend_pid)  # type: ignore[union-attr]
            postgres.cut(cut[0])

    sqlalchemy.event.listen(backend.engine, "before_cursor_execute", cut_it)
    again = RetryingStorage(backend, "the database")  # knows no finished trial yet
    assert again.get_all_trials(study._study_id) == trials
    assert cut
    assert "does not answer (attempt 1)" in caplog.text
    again.close()


def test_a_storage_is_never_pickled(storage: RetryingStorage) -> None:
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(storage)


def test_an_error_that_is_ours_is_neither_retried_nor_renamed(
    new_folder: NewFolder, caplog: pytest.LogCaptureFixture
) -> None:
    folder = new_folder()
    storage = open_storage("sqlite", folder)
    with closing(sqlite3.connect(folder / "optuna.db", isolation_level=None)) as connection:
        connection.execute("DROP TABLE studies")
    with pytest.raises(StorageInternalError) as caught:
        storage.get_all_studies()
    storage.close()
    assert "no such table" in str(caught.value.__cause__)
    assert "trying again" not in caplog.text


def test_a_database_locked_past_the_deadline_is_a_conflict(new_folder: NewFolder) -> None:
    path = new_folder() / "optuna.db"
    backend = RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 0}})
    storage = RetryingStorage(backend, "the database", deadline_seconds=0.1)
    search = cell(storage)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ConflictError, match="another process holds it"):
            search.ask()
    storage.close()
