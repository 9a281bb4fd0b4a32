"""PostgreSQL crashing again and again under a study: it waits, goes on, and its numbers are an undisturbed study's."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from tests.chaos.checkers import check
from tests.chaos.ledger import Ledger
from tests.fixtures.postgres import PASSWORD, USER, Postgres, postgres
from tests.launched import METHODS, calm, finished, launch, runs_of, until, until_recorded, values

__all__ = ["postgres"]
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

TRIALS, RESTARTS, DOWN_SECONDS = 8, 5, 10.0
SIZE = [f"search.trials={TRIALS}", "--stage", "search"]
"""The search alone: no other stage asks the database."""


def silences(study: Path) -> int:
    """How often the driver has got no answer."""
    return (study / "driver.log").read_text().count("does not answer")


def states(server: Postgres, database: str) -> dict[str, int]:
    """Trials by state in the database."""
    address = {"host": "127.0.0.1", "port": server.port, "user": USER, "password": PASSWORD, "dbname": database}
    with psycopg.connect(**address) as connection:
        return dict(connection.execute("SELECT state::text, count(*) FROM trials GROUP BY state").fetchall())


@pytest.mark.timeout(900)
@pytest.mark.bar("R5", "PostgreSQL crashed 5 times, 10 s down each")
def test_r5_a_study_outlives_crashes_of_its_database(
    ledger: Ledger, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = calm(tmp_path / "undisturbed", *SIZE)
    database = postgres.new_database()
    monkeypatch.setenv("VAESTUDY_CREDENTIAL_LAB", postgres.address(database))
    study = tmp_path / "quickstart"
    process = launch(tmp_path, *SIZE, "storage.optuna=lab")
    until_recorded(study, process, runs=1)
    for number in range(1, RESTARTS + 1):
        until(lambda: len(values(study)) >= 2 * number, process)  # noqa: B023
        before = silences(study)
        postgres.stop()
        time.sleep(DOWN_SECONDS)
        postgres.start()
        ledger.met += silences(study) > before
    finished(process, seconds=400)
    assert ledger.met == RESTARTS
    told = states(postgres, database)
    assert set(told) <= {"COMPLETE", "PRUNED"}, told
    assert sum(told.values()) == TRIALS * len(METHODS)
    check(study, tmp_path / "mlflow.db")
    assert values(study) == values(undisturbed)
    ledger.figures |= {"trials": f"{sum(told.values())} of {TRIALS * len(METHODS)}", "runs": len(runs_of(study))}
    ledger.figures |= {"calls tried again": silences(study)}
