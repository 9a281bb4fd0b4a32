"""A SQLite store, a real ``mlflow server``, and what MLflow holds, read from its database."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.addresses import free_port, healthy
from tests.tracking import synthetic
from vaestudy.records import read_runs
from vaestudy.tracking import Shipper, preflight, rows, tracking_uri, ui_command

MakeShipper = Callable[..., Shipper]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's use of SQLAlchemy
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(ours)


@dataclass(frozen=True)
class Shelf:
    """What MLflow's database holds of one study."""

    database: Path
    study: str

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as connection:
            (experiment,) = connection.execute("SELECT experiment_id FROM experiments WHERE name = ?", [self.study])
            return list(connection.execute(query, experiment))

    def begun(self) -> int:
        """How many runs there are by now; 0 where the study is not known yet."""
        with closing(sqlite3.connect(self.database)) as connection:
            query = "SELECT count(*) FROM runs JOIN experiments USING (experiment_id) WHERE experiments.name = ?"
            return int(connection.execute(query, [self.study]).fetchone()[0])

    def rows(self) -> Counter[tuple[Any, ...]]:
        """Every stored metric row: (run name, key, step, time, value)."""
        return Counter(
            self.ask(
                "SELECT runs.name, key, step, timestamp, round(value, 9) FROM metrics JOIN runs USING (run_uuid) "
                "WHERE experiment_id = ? AND lifecycle_stage = 'active'"
            )
        )

    def runs(self) -> dict[str, str]:
        """Status by name of all runs of the study; fails where two have one name."""
        found = self.ask("SELECT name, status FROM runs WHERE experiment_id = ? AND lifecycle_stage = 'active'")
        assert len(found) == len({name for name, _ in found}), "a run is doubled"
        return {str(name): str(status) for name, status in found}

    def tags(self, run: str) -> dict[str, str]:
        found = self.ask("SELECT runs.name, key, value FROM tags JOIN runs USING (run_uuid) WHERE experiment_id = ?")
        return {str(key): str(value) for name, key, value in found if name == run}


def expected_rows(folder: Path) -> Counter[tuple[Any, ...]]:
    """The rows that MLflow should hold, from the spools."""
    return Counter(
        (record.run.name, row.key, row.step, row.time, round(row.value, 9))
        for record in read_runs(folder)
        for row in rows.curve_rows(record, -1) + (rows.summary_rows(record) if record.end else [])
    )


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with an MLflow store, shared by all tests; each uses a study name of its own."""
    folder = tmp_path_factory.mktemp("results")
    preflight(store_uri(folder))
    return folder


def store_uri(results: Path) -> str:
    uri = tracking_uri("sqlite", results)
    assert uri is not None
    return uri


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A study name of the test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[-60:].strip("-")


@pytest.fixture
def shelf(results: Path, name: str) -> Shelf:
    return Shelf(results / "mlflow.db", name)


@pytest.fixture
def make_shipper(results: Path, name: str, tmp_path: Path) -> MakeShipper:
    """Makes a shipper of ``tmp_path``; called again, it stands for a new process that knows nothing."""

    def make(uri: str | None = None, **changes: Any) -> Shipper:
        given: dict[str, Any] = {
            "run_figures": lambda record, folder: {"curve.svg": b"<svg/>"},
            "study_files": lambda folder: {"study.yaml": b"version: 1\n", "report/report.md": b"# Report\n"},
            "answers": lambda folder: ["digits-mlp, best of 6 trials: adam is ahead."],
        }
        return Shipper(
            synthetic.study(name),
            synthetic.STUDY_HASH,
            tmp_path,
            uri or store_uri(results),
            command="vaestudy launch study.yaml",
            **{**given, **changes},
        )

    return make


class Server:
    """An ``mlflow server`` on the loopback address, with a port that it keeps when it is started again."""

    def __init__(self, results: Path):
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.results = results
        self.start()

    def start(self) -> None:
        command = ui_command(store_uri(self.results), self.results, self.port)
        with (self.results / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=self.results)
        deadline = time.monotonic() + 240
        while not healthy(self.address):
            assert self._process.poll() is None and time.monotonic() < deadline, "mlflow server did not start"
            time.sleep(0.2)

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@pytest.fixture(scope="session")
def server(results: Path) -> Iterator[Server]:
    running = Server(results)
    yield running
    running.kill()
