"""Drivers that only hold a study and its shipper, each in a process of its own, so that they can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from tests.tracking import synthetic
from vaestudy.spec import Study
from vaestudy.study.folder import StudyFolder
from vaestudy.study.ship import ShipperProcess

METHODS = ("adam", "sgd")


def study(name: str, **changes: Any) -> Study:
    """A made-up study that a shipper's process can read from its folder."""
    methods = {method: {"optimizer": method, "search": {"lr": {"log": [1e-5, 1.0]}}} for method in METHODS}
    return synthetic.study(name, methods=methods, **changes)


class Driver(AbstractContextManager["Driver"]):
    """Holds a study's lock and its shipper until it is killed or ends; at its end it waits for the shipper."""

    def __init__(self, folder: StudyFolder, study: Study, env: Mapping[str, str] | None = None):
        folder.make()
        folder.write(study)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.tracking.drivers", str(folder.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
        assert self._process.stdout is not None and self._process.stdin is not None
        assert self._process.stdout.readline() == b"up\n"
        (self.shipper,) = psutil.Process(self._process.pid).children()

    def end(self) -> None:
        """Ends it as a study that is done does; the shipper has caught up then."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(timeout=300) == 0, "MLflow has not caught up"

    def kill(self) -> None:
        """Kill -9, of the driver only."""
        self._process.kill()
        self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def gone_after(process: psutil.Process, seconds: float) -> float:
    """Seconds until a process has ended, at most these."""
    start = time.monotonic()
    while _lives(process) and time.monotonic() - start < seconds:
        time.sleep(0.05)
    return time.monotonic() - start


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def main(path: str) -> int:
    """The driver: up until its standard input is closed."""
    folder = StudyFolder(Path(path))
    with folder.lock(), ShipperProcess.start(folder.study(), folder, "vaestudy launch study.yaml") as shipper:
        print("up", flush=True)
        sys.stdin.read()
        shipper.finish()
        return int(shipper.behind)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
