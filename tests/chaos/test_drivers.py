"""Drivers killed at named points, and two of one study: every run counts once, with an undisturbed study's numbers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.checkers import check_same
from tests.chaos.ledger import Ledger
from tests.launched import FEW, OFTEN, SMALL, calm, finished, launch, runs_of, until, vaestudy, workers
from vaestudy.study.folder import StudyFolder

POINTS = ("after-ask", "after-start", "mid-epoch", "after-report", "after-end", "after-tell", "confirm", "export")
IN_SEARCH = POINTS[:-2]
COUNTS = {"mid-epoch": (2, 5, 9), "export": (1, 5, 11)}

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


@pytest.mark.timeout(1800)
@pytest.mark.bar("R1", "driver killed -9 at 8 named points, 3 times each, in one study")
def test_r1_a_killed_driver_loses_and_doubles_nothing(ledger: Ledger, tmp_path: Path) -> None:
    enough = [*FEW, "search.trials=20"]  # 80 in all; the kills in the search take some 35
    few_at_once = ["resources.population=2", "resources.workers=1"]
    undisturbed = calm(tmp_path / "undisturbed", *enough, "resources.population=2")
    study = tmp_path / "quickstart"
    command = ["launch", "studies/quickstart.yaml", *SMALL, *OFTEN, *enough, *few_at_once]
    for point in POINTS:
        stages = ["--stage", "search"] if point in IN_SEARCH else []  # the confirmations are left to their own kills
        for count in COUNTS.get(point, (1, 2, 3)):
            module = f"tests.chaos.aimed {point} {count}"
            process = vaestudy(*command, *stages, results=tmp_path, module=module)
            process.communicate(timeout=300)
            assert process.returncode == -signal.SIGKILL, (point, count)
            ledger.met += 1
            if study.exists():
                command = ["resume", "quickstart"]
    finished(vaestudy("resume", "quickstart", results=tmp_path))
    ledger.figures |= {"runs": len(runs_of(study)), "rows in MLflow": check_same(study, undisturbed)}


@pytest.mark.alone
@pytest.mark.bar("R12", "a second launch of a running study; the first killed -9 and the study resumed")
def test_r12_one_driver_at_a_time_and_its_lock_dies_with_it(ledger: Ledger, tmp_path: Path) -> None:
    study = StudyFolder(tmp_path / "quickstart")
    driver = launch(tmp_path, "train.epochs=2000")
    for tries in (1, 2, 3):  # what else the machine does only ever adds
        until(lambda: bool(workers(driver)), driver)  # noqa: B023
        start = time.monotonic()
        _, err = finished(launch(tmp_path, "train.epochs=2000"), code=5)
        refused = time.monotonic() - start
        assert str(driver.pid) in err
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        start = time.monotonic()
        driver = vaestudy("resume", "quickstart", results=tmp_path)
        until(lambda: study.running, driver)
        resumed = time.monotonic() - start
        ledger.met += 2
        ledger.figures |= {"refused after": f"{refused:.1f} s", "resumed after": f"{resumed:.1f} s", "tries": tries}
        if max(refused, resumed) < 5:
            break
    driver.send_signal(signal.SIGINT)
    finished(driver, code=130)
    assert max(refused, resumed) < 5
