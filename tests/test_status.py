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
