"""The driver's hold on its shipper: what it does when the shipper dies, and how long it waits for MLflow at the end."""

from __future__ import annotations

import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.tracking import synthetic
from tests.tracking.conftest import Shelf, expected_rows
from tests.tracking.drivers import METHODS, study
from vaestudy.study import ship
from vaestudy.study.folder import StudyFolder
from vaestudy.study.ship import HURRY, ShipperProcess


def shippers(folder: StudyFolder) -> list[psutil.Process]:
    """The shippers of a study that live and that this process has started."""
    alive = (child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE)
    return [child for child in alive if str(folder.path) in child.cmdline()]


@pytest.fixture
def deaf(tmp_path: Path) -> Iterator[StudyFolder]:
    """A study whose MLflow takes connections and answers nothing; its shippers are ended with the test."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        plan = study("deaf", tracking={"mlflow": f"http://127.0.0.1:{server.getsockname()[1]}"})
        folder = StudyFolder(tmp_path / "deaf")
        folder.make()
        folder.write(plan)
        synthetic.write(folder.path, synthetic.run("adam", 0), 2)
        yield folder
        for process in shippers(folder):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_shipper_that_dies_is_started_again(
    results: Path, name: str, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship, "RESTART_SECONDS", 0.0)
    plan, folder = study(name), StudyFolder(results / name)
    folder.make()
    folder.write(plan)
    synthetic.write_study(folder.path, methods=METHODS[:1], trials=3, seeds=1, epochs=2)
    with folder.lock(), ShipperProcess.start(plan, folder, "vaestudy launch study.yaml") as process:
        (first,) = shippers(folder)
        process.tend()
        assert shippers(folder) == [first]
        first.kill()
        deadline = time.monotonic() + 10
        while shippers(folder) in ([], [first]) and time.monotonic() < deadline:
            process.tend()
        (second,) = shippers(folder)
        second.kill()
        second.wait()
        process.finish()
        assert not process.behind
    assert shelf.rows() == expected_rows(folder.path)


def test_a_stopped_study_does_not_wait_long_for_mlflow_and_says_what_it_leaves(deaf: StudyFolder) -> None:
    notices: list[str] = []
    with deaf.lock(), ShipperProcess.start(deaf.study(), deaf, "launch", notices.append) as process:
        start = time.monotonic()
    assert time.monotonic() - start < HURRY + 1
    assert process.behind
    (notice,) = notices
    assert notice.startswith("MLflow is still being written, in the background (see ")
    assert notice.endswith("nothing is lost, and what is missing there is sent with: vaestudy resume deaf")


def test_a_study_stopped_before_its_first_report_waits_for_nothing(deaf: StudyFolder) -> None:
    shutil.rmtree(deaf.path / "runs")
    notices: list[str] = []
    with deaf.lock(), ShipperProcess.start(deaf.study(), deaf, "launch", notices.append):
        start = time.monotonic()
    assert time.monotonic() - start < HURRY / 2
    assert notices == []


def test_a_long_wait_for_mlflow_is_announced_and_ctrl_c_ends_it(
    deaf: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship, "UNNOTICED", 0.5)
    notices: list[str] = []
    with deaf.lock(), ShipperProcess.start(deaf.study(), deaf, "launch", notices.append) as process:
        ctrl_c = threading.Timer(1.5, signal.raise_signal, [signal.SIGINT])
        ctrl_c.start()
        start = time.monotonic()
        process.finish()
        assert 1 < time.monotonic() - start < 10
    assert notices[0] == "Waiting for MLflow, 120 s at most (Ctrl-C goes on without it) ..."
    assert process.behind
