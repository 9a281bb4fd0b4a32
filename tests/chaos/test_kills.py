"""Drivers and workers killed, stopped and hung: every run counts once, and the numbers are an undisturbed study's."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.checkers import check, history
from tests.chaos.ledger import Ledger
from tests.launched import (
    SMALL,
    finished,
    kill_workers_until_a_run_is_tried_again,
    launch,
    runs_of,
    until,
    until_recorded,
    vaestudy,
    values,
    workers,
)
from vaestudy.records import attempt_folder, read_runs
from vaestudy.study.folder import StudyFolder

POINTS = ("after-ask", "after-start", "mid-epoch", "after-report", "after-end", "after-tell", "confirm", "export")
COUNTS = {"mid-epoch": (2, 5, 9), "export": (1, 5, 20)}
OFTEN = ["budget.checkpoint_seconds=0.1", "budget.retries=20"]
LONGER = ["train.epochs=100"]
"""So that there is time to meet many faults."""

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that nobody disturbed."""
    results = tmp_path_factory.mktemp("undisturbed")
    finished(launch(results, *LONGER))
    return results / "quickstart"


def same(study: Path, undisturbed: Path) -> None:
    """The four checkers, and the numbers of an undisturbed study, report by report."""
    check(study, study.parent / "mlflow.db")
    assert values(study) == values(undisturbed)
    assert history(study) == history(undisturbed)


@pytest.mark.timeout(1800)
@pytest.mark.bar("R1", "driver killed -9 at 8 named points, 3 times each, in one study")
def test_r1_a_killed_driver_loses_and_doubles_nothing(ledger: Ledger, tmp_path: Path) -> None:
    more = ["search.trials=12", "resources.population=2"]  # enough, and few enough at once, that each kill leaves some
    undisturbed = tmp_path / "undisturbed"
    finished(launch(undisturbed, *more))
    study = tmp_path / "quickstart"
    command = ["launch", "studies/quickstart.yaml", *SMALL, *OFTEN, *more]
    for point in POINTS:
        for count in COUNTS.get(point, (1, 2, 3)):
            module = f"tests.chaos.aimed {point} {count}"
            process = vaestudy(*command, results=tmp_path, module=module)
            process.communicate(timeout=120)
            assert process.returncode == -signal.SIGKILL, (point, count)
            ledger.met += 1
            if study.exists():
                command = ["resume", "quickstart"]
    finished(vaestudy("resume", "quickstart", results=tmp_path))
    same(study, undisturbed / "quickstart")
    ledger.figures |= {"runs": len(runs_of(study)), "lost": 0, "doubled": 0}


@pytest.mark.timeout(900)
@pytest.mark.bar("R2", "20 workers killed -9 in mid run")
def test_r2_killed_workers_change_no_number(ledger: Ledger, undisturbed: Path, tmp_path: Path) -> None:
    study = tmp_path / "quickstart"
    process = launch(tmp_path, *LONGER, *OFTEN)
    until_recorded(study, process, runs=1)
    while ledger.met < 20:
        kill_workers_until_a_run_is_tried_again(study, process)
        ledger.met += 1
    out, err = finished(process)
    assert "raylet" not in out + err, "what Ray says of its dead workers is not for the user"
    same(study, undisturbed)
    ledger.figures |= {"runs": len(runs_of(study)), "attempts": sum(r.attempt for r in read_runs(study))}


@pytest.mark.bar("R11", "every run of a method diverges")
def test_r11_runs_that_diverge_end_as_such_and_leave_no_infinity(ledger: Ledger, tmp_path: Path) -> None:
    finished(launch(tmp_path, "methods.sgd.search.lr.log=[1e10, 1e11]", "report.formats=[csv]", "confirm.seeds=1"))
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
    ledger.figures |= {"retried": 0, "of runs": len(mine)}


@pytest.mark.alone
@pytest.mark.bar("R12", "a second launch of a running study; the first killed -9 and the study resumed")
def test_r12_one_driver_at_a_time_and_its_lock_dies_with_it(ledger: Ledger, tmp_path: Path) -> None:
    study = StudyFolder(tmp_path / "quickstart")
    first = launch(tmp_path, "train.epochs=2000")
    until(lambda: study.path.exists() and study.running, first)
    start = time.monotonic()
    _, err = finished(launch(tmp_path, "train.epochs=2000"), code=5)
    refused = time.monotonic() - start
    assert str(first.pid) in err
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    start = time.monotonic()
    second = vaestudy("resume", "quickstart", results=tmp_path)
    until(lambda: study.running, second)
    resumed = time.monotonic() - start
    second.send_signal(signal.SIGINT)
    finished(second, code=130)
    ledger.met = 2
    ledger.figures |= {"refused after": f"{refused:.1f} s", "resumed after": f"{resumed:.1f} s"}
    assert max(refused, resumed) < 5


@pytest.mark.timeout(600)
@pytest.mark.bar("R13", "SIGTERM and SIGINT by turns at 10 moments")
def test_r13_a_stopped_study_has_saved_within_10_seconds(ledger: Ledger, undisturbed: Path, tmp_path: Path) -> None:
    study = tmp_path / "quickstart"
    slowest, ended = 0.0, 0
    process = launch(tmp_path, *LONGER, "budget.checkpoint_seconds=0")
    for turn in range(10):
        number = (signal.SIGTERM, signal.SIGINT)[turn % 2]
        until(lambda before=ended: study.exists() and _ended(study) > before, process)
        time.sleep(0.13 * turn)
        start = time.monotonic()
        process.send_signal(number)
        finished(process, code=128 + number)
        slowest = max(slowest, time.monotonic() - start)
        ledger.met += 1
        assert _redone(study) == 0
        ended = _ended(study)
        process = vaestudy("resume", "quickstart", results=tmp_path)
    finished(process)
    same(study, undisturbed)
    ledger.figures |= {"slowest": f"{slowest:.1f} s", "reports redone": 0}
    assert slowest < 10


@pytest.mark.timeout(600)
@pytest.mark.bar("R13", "Ctrl-C twice, 0.1, 0.6 and 2 s apart")
def test_r13_a_second_ctrl_c_ends_at_once_and_loses_nothing(ledger: Ledger, undisturbed: Path, tmp_path: Path) -> None:
    study = tmp_path / "quickstart"
    slowest, ended = 0.0, 0
    process = launch(tmp_path, *LONGER, *OFTEN)
    for apart in (0.1, 0.6, 2.0):
        until(lambda before=ended: study.exists() and _ended(study) > before, process)
        process.send_signal(signal.SIGINT)
        time.sleep(apart)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        finished(process, code=130)
        slowest = max(slowest, time.monotonic() - start)
        ledger.met += 1
        ended = _ended(study)
        process = vaestudy("resume", "quickstart", results=tmp_path)
    finished(process)
    same(study, undisturbed)
    ledger.figures["slowest"] = f"{slowest:.1f} s"
    assert slowest < 10


@pytest.mark.bar("stall", "a worker halted (SIGSTOP), so that it never reports")
def test_stall_a_halted_worker_is_replaced(ledger: Ledger, undisturbed: Path, tmp_path: Path) -> None:
    study = tmp_path / "quickstart"
    process = launch(tmp_path, *LONGER, *OFTEN, "budget.silence=8s")
    until_recorded(study, process, runs=2)
    until(lambda: bool(workers(process)), process)
    victim = workers(process)[0]
    victim.suspend()
    ledger.met += 1
    start = time.monotonic()
    until(lambda: not victim.is_running(), process)
    ledger.figures["replaced after"] = f"{time.monotonic() - start:.0f} s of 8 s allowed"
    finished(process)
    same(study, undisturbed)


def _ended(study: Path) -> int:
    return sum(record.end is not None for record in read_runs(study))


def _redone(study: Path) -> int:
    """The reports of runs in mid-course that lie behind their newest checkpoint."""
    behind = 0
    for record in read_runs(study):
        if record.end is None:
            saved = [
                int(path.name.removeprefix("checkpoint-"))
                for path in attempt_folder(study, record.run.uid, record.attempt).glob("checkpoint-*")
            ]
            behind += sum(report.step > max(saved, default=0) for report in record.reports)
    return behind
