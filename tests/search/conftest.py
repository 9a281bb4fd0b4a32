"""Storages for the search's tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.postgres import Postgres, postgres
from vaestudy.search import RetryingStorage, open_storage

__all__ = ["postgres"]

NewFolder = Callable[[], Path]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite trial database without trials, to be copied: making its tables takes half a second."""
    folder = tmp_path_factory.mktemp("empty")
    open_storage("sqlite", folder).close()
    return folder / "optuna.db"


@pytest.fixture
def new_folder(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> NewFolder:
    """Makes study folders with an empty trial database."""

    def make() -> Path:
        folder = tmp_path_factory.mktemp("study")
        shutil.copy(empty_database, folder)
        return folder

    return make


@pytest.fixture
def storage(new_folder: NewFolder) -> Iterator[RetryingStorage]:
    """An empty SQLite trial database."""
    opened = open_storage("sqlite", new_folder())
    yield opened
    opened.close()


@pytest.fixture
def credential_name(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a credential that holds the address of a new PostgreSQL database."""
    monkeypatch.setenv("VAESTUDY_CREDENTIAL_LAB_DB", postgres.address(postgres.new_database()))
    return "lab-db"
