"""Studies that are asked to stop: they have saved soon, and go on where they were."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.chaos.checkers import check_same
from tests.chaos.ledger import Ledger
from tests.launched import LONG, OFTEN, finished, launch, until, vaestudy
from vaestudy.records import attempt_folder, read_runs

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


@pytest.mark.timeout(900)
@pytest.mark.alone
@pytest.mark.bar("R13", "SIGTERM and SIGINT by turns at 10 moments")
def test_r13_a_stopped_study_has_saved_within_10_seconds(ledger: Ledger, long: Path, tmp_path: Path) -> None:
    study = tmp_path / "quickstart"
    slowest, ended, redone = 0.0, 0, 0
    process = launch(tmp_path, *LONG, "budget.checkpoint_seconds=0")
    for turn in range(10):
        number = (signal.SIGTERM, signal.SIGINT)[turn % 2]
        until(lambda before=ended: study.exists() and _ended(study) > before, process)
        time.sleep(0.13 * turn)
        slowest = max(slowest, _seconds_to_stop(process, number))
        ledger.met += 1
        redone += _redone(study)
        ended = _ended(study)
        process = vaestudy("resume", "quickstart", results=tmp_path)
    finished(process)
    check_same(study, long)
    ledger.figures |= {"slowest": f"{slowest:.1f} s", "reports redone": redone}
    assert redone == 0
    assert slowest < 10


@pytest.mark.timeout(900)
@pytest.mark.alone
@pytest.mark.bar("R13", "Ctrl-C twice, 0.1, 0.6, 2 and 3 s apart")
def test_r13_a_second_ctrl_c_ends_at_once_and_loses_nothing(ledger: Ledger, long: Path, tmp_path: Path) -> None:
    study = tmp_path / "quickstart"
    slowest, ended = 0.0, 0
    process = launch(tmp_path, *LONG, *OFTEN)
    for apart in (0.1, 0.6, 2.0, 3.0):
        until(lambda before=ended: study.exists() and _ended(study) > before, process)
        process.send_signal(signal.SIGINT)
        time.sleep(apart)
        slowest = max(slowest, _seconds_to_stop(process, signal.SIGINT))
        ledger.met += 1
        ended = _ended(study)
        process = vaestudy("resume", "quickstart", results=tmp_path)
    finished(process)
    check_same(study, long)
    ledger.figures["slowest"] = f"{slowest:.1f} s"
    assert slowest < 10


@pytest.mark.alone
@pytest.mark.bar("R13", "Ctrl-C at 8 moments while a study starts")
def test_r13_a_study_that_is_starting_stops_as_soon(ledger: Ledger, tmp_path: Path) -> None:
    slowest = 0.0
    for moment in (1.0, 3.0, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0):
        process = launch(tmp_path, "train.epochs=2000")
        time.sleep(moment)
        slowest = max(slowest, _seconds_to_stop(process, signal.SIGINT))
        ledger.met += 1
    ledger.figures["slowest"] = f"{slowest:.1f} s"
    assert slowest < 10


def _seconds_to_stop(process: subprocess.Popen[str], number: signal.Signals) -> float:
    """From a signal to the process's end, with the exit code that says so."""
    start = time.monotonic()
    process.send_signal(number)
    finished(process, code=128 + number)
    return time.monotonic() - start


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
