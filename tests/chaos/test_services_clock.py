"""Workers whose clocks are wrong: nothing that is measured, shown or stored may depend on it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos.checkers import check, check_numbers
from tests.chaos.clocks import HOUR
from tests.chaos.ledger import Ledger
from tests.launched import ROOT, finished, until, vaestudy
from vaestudy.study.folder import StudyFolder
from vaestudy.study.status import Status, status

TINY = [
    "search.trials=2",
    "search.replicates=1",
    "resources.population=1",
    "confirm.seeds=1",
    "confirm.sources=0",
    "target.seeds=1",
    "train.epochs=20",
]
TINY += ["confirm.iwae_samples=5", "plugins=[tests.chaos.clocks]", "tracking.figures=false", "report.figures=false"]


def seen_while_it_runs(results: Path, clocks: Path | None) -> list[Status]:
    """Runs the study to its end; what ``vaestudy status`` says on the way, from the first end of a run on, and then."""
    env = {"PYTHONPATH": str(ROOT), **({"VAESTUDY_CLOCKS": str(clocks)} if clocks else {})}
    study = vaestudy("launch", "studies/quickstart.yaml", *TINY, results=results, env=env)
    folder, seen = StudyFolder(results / "quickstart"), list[Status]()

    def look() -> bool:
        if folder.resolved.exists() and (now := status(folder)).finished_runs:
            seen.append(now)
        return len(seen) == 5

    until(look, study)
    finished(study)
    return [*seen, status(folder)]


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.bar("clock", "a worker's clock an hour ahead, another's an hour behind")
def test_clock_of_a_worker_an_hour_off_changes_nothing(tmp_path: Path, ledger: Ledger) -> None:
    right, wrong, clocks = tmp_path / "right", tmp_path / "wrong", tmp_path / "clocks"
    clocks.mkdir()
    seen_while_it_runs(right, clocks=None)
    start = time.monotonic()
    seen = seen_while_it_runs(wrong, clocks)
    seconds = time.monotonic() - start
    ledger.met = len(list(clocks.iterdir()))
    assert ledger.met >= 2, "only one worker's clock was wrong"
    check_numbers(wrong / "quickstart", right / "quickstart")
    ledger.figures["rows in MLflow"] = check(wrong / "quickstart", wrong / "mlflow.db")
    ledger.figures["s elapsed, said and true"] = f"{seen[-1].elapsed:.0f} and {seconds:.0f}"
    assert all(0 < now.elapsed <= seconds for now in seen)
    assert all(now.seconds_left is not None and now.seconds_left < HOUR / 2 for now in seen)
    low, high = shortest_and_longest_run(wrong / "mlflow.db", "quickstart")
    assert 0 <= low <= high <= seconds


def shortest_and_longest_run(mlflow: Path, study: str) -> tuple[float, float]:
    """Seconds from start to end, as MLflow shows them."""
    query = (
        "select min(end_time - start_time), max(end_time - start_time) from runs join experiments "
        "using (experiment_id) where experiments.name = ?"
    )
    with closing(sqlite3.connect(mlflow)) as connection:
        low, high = connection.execute(query, [study]).fetchone()
    return low / 1000, high / 1000
