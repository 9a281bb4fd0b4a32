"""Workers killed, halted and diverging: every run counts once, and the numbers are an undisturbed study's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.chaos.checkers import check, check_same
from tests.chaos.ledger import Ledger
from tests.launched import (
    FEW,
    LONG,
    OFTEN,
    finished,
    kill_workers_in_mid_run,
    launch,
    runs_of,
    tried_again,
    until,
    until_recorded,
    workers,
)
from vaestudy.records import read_runs

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


@pytest.mark.timeout(900)
@pytest.mark.bar("R2", "20 workers killed -9 in mid run")
def test_r2_killed_workers_change_no_number(ledger: Ledger, long: Path, tmp_path: Path) -> None:
    study = tmp_path / "quickstart"
    process = launch(tmp_path, *LONG, *OFTEN)
    for stage, kills in (("search", 15), ("confirm", 20)):
        until(lambda: study.exists() and stage in {r.run.stage for r in read_runs(study)}, process)  # noqa: B023
        while ledger.met < kills:
            kill_workers_in_mid_run(study, process)
            ledger.met = tried_again(study)
    out, err = finished(process)
    assert "raylet" not in out + err, "what Ray says of its dead workers is not for the user"
    check_same(study, long)
    ledger.figures |= {"runs": len(runs_of(study)), "attempts": len(runs_of(study)) + tried_again(study)}


@pytest.mark.bar("R11", "every run of a method diverges")
def test_r11_runs_that_diverge_end_as_such_and_leave_no_infinity(ledger: Ledger, tmp_path: Path) -> None:
    finished(launch(tmp_path, "methods.sgd.search.lr.log=[1e10, 1e11]", "confirm.seeds=1", *FEW))
    study = tmp_path / "quickstart"
    mine = [record for record in runs_of(study).values() if record.run.method == "sgd"]
    for record in mine:
        assert record.end is not None
        assert (record.end.outcome, record.attempt) == ("diverged", 1)
        last = max((report.step for report in record.reports), default=0)
        assert 0 < record.end.step <= last
        ledger.met += 1
    check(study, tmp_path / "mlflow.db")
    for table in (study / "report").glob("*.csv"):
        assert not {"inf", "-inf", "Infinity"} & set(table.read_text().replace("\n", ",").split(",")), table
    ledger.figures |= {"retried": sum(record.attempt - 1 for record in mine), "of runs": len(mine)}


@pytest.mark.bar("stall", "a worker halted (SIGSTOP), so that it never reports")
def test_stall_a_halted_worker_is_replaced(ledger: Ledger, long: Path, tmp_path: Path) -> None:
    study = tmp_path / "quickstart"
    process = launch(tmp_path, *LONG, *OFTEN, "budget.silence=8s")
    until_recorded(study, process, runs=2)
    until(lambda: bool(workers(process)), process)
    victim = workers(process)[0]
    victim.suspend()
    ledger.met += 1
    start = time.monotonic()
    until(lambda: not victim.is_running(), process)
    ledger.figures |= {"s of silence allowed": 8, "s until it was replaced": round(time.monotonic() - start)}
    finished(process)
    check_same(study, long)
