"""The trial database: SQLite for a single process, PostgreSQL for more, every call through one retry policy."""

from __future__ import annotations

import functools
import logging
import sqlite3
from collections.abc import Container
from pathlib import Path
from typing import Any, NoReturn, cast

import optuna
import sqlalchemy
import tenacity
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage, get_storage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError, SQLAlchemyError

from vaestudy.credentials import credential
from vaestudy.errors import ConflictError, DataError, DiskError, ServiceError, UsageError, VaestudyError

_log = logging.getLogger(__name__)

DEADLINE_SECONDS = 600.0
"""How long a database may be away before the study gives up (it can be resumed)."""

CONNECT_SECONDS = 10

_DISK = (DiskError, "free space, or change storage.results")
_DAMAGE = (DataError, "put back a copy, or start the study under another name")
_BUSY = (ConflictError, "another process holds it: wait for that one or end it")
_SQLITE: dict[int, tuple[type[VaestudyError], str]] = {
    sqlite3.SQLITE_FULL: _DISK,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_READONLY: _DISK,
    sqlite3.SQLITE_CANTOPEN: _DISK,
    sqlite3.SQLITE_PERM: _DISK,
    sqlite3.SQLITE_NOTADB: _DAMAGE,
    sqlite3.SQLITE_CORRUPT: _DAMAGE,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
}
"""What SQLite's result codes mean for the user, and what to do."""


class RetryingStorage:
    """An Optuna storage whose every call is tried again while the database is away.

    Only errors of the connection are tried again, after 0.5 s, 1 s, 2 s ... 10 s, until ``deadline_seconds``. A call
    that was carried out although it raised is carried out twice then; ``CellSearch`` allows for that.

    Args:
        backend: the database.
        label: what to call it in messages; no password.
        deadline_seconds: after which the error is given to the caller.
    """

    def __init__(self, backend: RDBStorage, label: str, deadline_seconds: float = DEADLINE_SECONDS):
        self._backend = backend
        self._storage = get_storage(backend)  # adds Optuna's cache of finished trials
        self._label = label
        self._policy = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_transient),
            wait=tenacity.wait_exponential(multiplier=0.5, max=10),
            stop=tenacity.stop_after_delay(deadline_seconds),
            before_sleep=self._log_retry,
            reraise=True,
        )

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._storage, name)
        return functools.partial(self._call, member) if callable(member) else member

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Optuna's own; but where it looks for queued trials, before each ask, every open one would be read for that:
        nothing is ever queued here."""
        if states == (TrialState.WAITING,):
            return []
        return cast(list[FrozenTrial], self._call(self._storage.get_all_trials, study_id, deepcopy, states))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a storage holds a password and is never pickled; pass the name of its credential")

    @property
    def backend(self) -> RDBStorage:
        """The database itself, for programs that ask for no more than one thing at a time."""
        return self._backend

    def close(self) -> None:
        """Closes all connections; the next call opens new ones."""
        self._backend.remove_session()
        self._backend.engine.dispose()

    def _call(self, member: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._policy(member, *args, **kwargs)
        except (SQLAlchemyError, StorageInternalError) as error:
            explained = _explained(error, self._label)
            if explained is None:
                raise
            raise explained from error

    def _log_retry(self, state: tenacity.RetryCallState) -> None:
        wait = state.next_action.sleep if state.next_action else 0.0
        _log.warning("%s does not answer (attempt %d); trying again in %.1f s", self._label, state.attempt_number, wait)


def open_storage(where: str, folder: Path) -> RetryingStorage:
    """The trial database of a study, its tables made where they are missing.

    Args:
        where: ``sqlite`` (``folder/optuna.db``; for a single process), or the name of a credential that holds a
            PostgreSQL address.
        folder: the study's folder.

    Raises:
        UsageError: the address is not PostgreSQL's, or its driver is not installed.
        ServiceError: the server cannot be reached or refuses us.
        ConflictError: the tables are of another version of Optuna.
        DiskError, DataError: the SQLite file cannot be written, or is none.
    """
    if where == "sqlite":
        url = sqlalchemy.URL.create("sqlite", database=str(folder / "optuna.db"))
        return _open(url, f"the trial database {folder / 'optuna.db'}", {"timeout": 20})
    url = _postgresql(where, credential(where))
    label = f"the trial database of credential {where!r} ({url.database} at {url.host}:{url.port or 5432})"
    return _open(url, label, {"connect_timeout": CONNECT_SECONDS})


def _postgresql(name: str, address: str) -> sqlalchemy.URL:
    scheme, found, _ = address.partition("://")
    scheme = scheme if found else ""
    if scheme not in ("postgresql", "postgresql+psycopg"):
        guess = "did you mean 'postgresql'? " if scheme.startswith("postgres") else ""
        raise UsageError(
            f"credential {name!r}: a trial database has scheme postgresql, got {scheme!r} - {guess}"
            "(postgresql+psycopg://user:password@host:5432/database)"
        )
    try:
        return sqlalchemy.make_url(address).set(drivername="postgresql+psycopg")
    except (SQLAlchemyError, ValueError):  # its message repeats the address
        raise UsageError(
            f"credential {name!r}: not an address; expected postgresql+psycopg://user:password@host:5432/database"
        ) from None


def _open(url: sqlalchemy.URL, label: str, connect_args: dict[str, Any]) -> RetryingStorage:
    text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")  # Optuna formats it
    kwargs = {"pool_pre_ping": True, "connect_args": connect_args}
    try:
        backend = RDBStorage(text, engine_kwargs=kwargs, skip_compatibility_check=True)
        _check_schema(backend, label)
    except ImportError as error:
        raise UsageError(f"{label}: PostgreSQL's driver is not installed: pip install 'vaestudy[postgres]'") from error
    except (SQLAlchemyError, StorageInternalError) as error:
        explained = _explained(error, label)
        if explained is None:
            raise
        raise explained from error
    return RetryingStorage(backend, label)


def _check_schema(backend: RDBStorage, label: str) -> None:
    found, ours = backend.get_current_version(), backend.get_head_version()
    if found == ours:
        return
    if found in backend.get_all_versions():
        difference, remedy = "older", "upgrade it with 'optuna storage upgrade'"
    else:
        difference, remedy = "newer", "upgrade Optuna here"
    backend.engine.dispose()
    raise ConflictError(
        f"{label} has schema {found}, {difference} than {ours} of Optuna {optuna.__version__}; {remedy}"
    )


def _database_error(error: BaseException) -> DBAPIError | None:
    """What the database's driver said, out of SQLAlchemy's or Optuna's wrapping."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, PendingRollbackError):  # Optuna asks again, another way, over a connection that has just died
        cause = cause.__context__
    return cause if isinstance(cause, DBAPIError) else None


def _is_transient(error: BaseException) -> bool:
    """Whether the connection broke or the database was busy, not the statement wrong or the disk full."""
    cause = _database_error(error)
    if cause is None:
        return False
    if isinstance(cause.orig, sqlite3.Error):
        return _SQLITE.get(_sqlite_code(cause.orig)) is _BUSY
    return isinstance(cause, (OperationalError, InterfaceError)) or cause.connection_invalidated


def _explained(error: BaseException, label: str) -> VaestudyError | None:
    """The error for the user, or None where the fault is ours (a wrong statement, a missing table)."""
    cause = _database_error(error)
    if cause is None:
        return None
    said = str(cause.orig).strip().splitlines()[0]
    if isinstance(cause.orig, sqlite3.Error):
        kind, remedy = _SQLITE.get(_sqlite_code(cause.orig), (None, ""))
        return kind(f"{label} cannot be used: {said}; {remedy}") if kind else None
    if not _is_transient(error):
        return None
    return ServiceError(f"{label} cannot be used: {said}; try it with: psql '<the address>' -c 'select 1'")


def _sqlite_code(error: sqlite3.Error) -> int:
    return error.sqlite_errorcode & 0xFF  # the low byte; the rest are details
