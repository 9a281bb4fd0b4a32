"""A killed driver's shipper and the next one's, real processes on one folder: one after the other, never both."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.tracking import synthetic
from tests.tracking.conftest import Shelf, expected_rows
from tests.tracking.drivers import METHODS, Driver, gone_after, study
from vaestudy.study.folder import StudyFolder


@pytest.mark.slow
def test_a_resumed_studys_shipper_waits_for_the_killed_drivers(results: Path, name: str, shelf: Shelf) -> None:
    plan, folder = study(name), StudyFolder(results / name)
    synthetic.write_study(folder.path, methods=METHODS, seeds=2, epochs=3)
    with Driver(folder, plan) as first:
        deadline = time.monotonic() + 60
        while shelf.begun() < 3:
            assert time.monotonic() < deadline, (folder.path / "shipper.log").read_text()
            time.sleep(0.05)
        first.kill()
        with Driver(folder, plan) as second:
            assert first.shipper.is_running(), "the situation was not met"
            second.end()
    assert "a new driver has the study" in (folder.path / "shipper.log").read_text()
    assert shelf.rows() == expected_rows(folder.path)
    assert len(shelf.runs()) == 1 + 2 * (6 + 2)
    assert shelf.runs()[f"STUDY {name}"] == "FINISHED"


def test_a_shipper_that_mlflow_keeps_waiting_ends_soon_after_its_driver_was_replaced(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        plan, folder = study("deaf", tracking={"mlflow": address}), StudyFolder(tmp_path / "deaf")
        synthetic.write(folder.path, synthetic.run("adam", 0), 2)
        with Driver(folder, plan, env={"MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}) as first:
            first.kill()
            with folder.lock():
                assert gone_after(first.shipper, seconds=60) < 12
    assert "a new driver has the study" in (folder.path / "shipper.log").read_text()
