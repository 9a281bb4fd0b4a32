"""How far a study is, from its records, where a worker's clock is an hour off."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tracking import synthetic
from vaestudy.records import Spool
from vaestudy.study.folder import StudyFolder
from vaestudy.study.status import status

HOUR = 3600.0


@pytest.mark.parametrize("shift", [0.0, HOUR, -HOUR], ids=["right", "fast", "slow"])
@pytest.mark.parametrize("running", [True, False])
def test_elapsed_goes_by_the_drivers_clock(shift: float, running: bool, tmp_path: Path) -> None:
    folder, now = StudyFolder(tmp_path / "skewed"), time.time()
    folder.make()
    folder.write(
        synthetic.study("skewed", methods={"adam": {"optimizer": "adam", "search": {"lr": {"log": [1e-5, 1]}}}})
    )
    for trial, began in enumerate((now - 100, now - 60)):
        plan = synthetic.run("adam", trial)
        spool = Spool(folder.path, plan, 1, began)
        spool.report(replace(synthetic.report(plan, 1), time=began + 20 + shift))
        spool.end(replace(synthetic.end(plan, 1), time=began + 40 + shift))
        os.utime(spool.folder / "spool.jsonl", (began + 40, began + 40))
    if running:
        with folder.lock():
            assert status(folder).elapsed == pytest.approx(100, abs=5)
    else:
        assert 40 <= status(folder).elapsed <= 80


def test_a_rerun_that_was_cancelled_is_still_to_be_run(tmp_path: Path) -> None:
    """The former winner of a smaller budget, whose rerun was left, has become the winner again."""
    folder = StudyFolder(tmp_path / "cancelled")
    folder.make()
    arm = {"adam": {"optimizer": "adam", "search": {"lr": {"log": [1e-5, 1]}}}}
    folder.write(synthetic.study("cancelled", methods=arm, confirm={"seeds": 2, "iwae_samples": 10}))
    rerun = synthetic.run("adam", 0, 1)
    for plan, outcome in ((synthetic.run("adam", 0), "done"), (rerun, "cancelled")):
        spool = Spool(folder.path, plan, 1, time.time())
        spool.end(replace(synthetic.end(plan, 1), outcome=outcome))
    (arm_now,) = status(folder).arms
    assert (arm_now.done, arm_now.confirmed, arm_now.to_confirm) == (1, 0, 2)
