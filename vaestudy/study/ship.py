"""The shipper process: reads spools, writes MLflow, never in training's way.

The driver starts it and closes its standard input at the end; a killed driver closes it too. Either way it ships what
is left and ends.
"""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from vaestudy import analysis
from vaestudy.errors import DataError, ServiceError, VaestudyError
from vaestudy.spec import Study, study_hash
from vaestudy.study.folder import StudyFolder
from vaestudy.tracking import Shipper, tracking_uri

PASS_SECONDS = 2.0
LONGEST_WAIT = 30.0
PATIENCE = 120.0
"""Seconds that the end of a study waits for MLflow to catch up."""

log = logging.getLogger(__name__)


class ShipperProcess:
    """The driver's hold on its shipper."""

    def __init__(self, process: subprocess.Popen[bytes] | None):
        self._process = process
        self.behind = False

    @classmethod
    @contextmanager
    def start(cls, study: Study, folder: StudyFolder, command: str) -> Iterator[ShipperProcess]:
        """Starts the shipper, or nothing where tracking is off."""
        uri = tracking_uri(study.tracking.mlflow, folder.path.parent)
        if uri is None:
            yield cls(None)
            return
        with (folder.path / "shipper.log").open("ab") as output:
            arguments = [sys.executable, "-m", "vaestudy.study.ship", str(folder.path), command]
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"},
            )
        shipper = cls(process)
        try:
            yield shipper
        finally:
            shipper.finish()

    def finish(self) -> None:
        """Lets the shipper catch up and end; ``behind`` says that it could not in time."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        self._process.stdin = None
        try:
            self.behind = self._process.wait(timeout=PATIENCE) != 0
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.behind = True
        if self.behind:
            log.warning("MLflow has not caught up; vaestudy resume ships the rest")


def main(path: str, command: str) -> int:
    """The shipper's life: a pass every two seconds, slower while MLflow does not answer."""
    os.nice(5)
    folder = StudyFolder(Path(path))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    while not _has_reports(folder) and not _driver_is_done(PASS_SECONDS):
        pass  # making MLflow's database takes seconds that the first trials need to start
    shipper = _patiently(folder, command)
    if shipper is None:
        return 1
    wait = PASS_SECONDS
    while not _driver_is_done(wait):
        wait = PASS_SECONDS if _passed(shipper) else min(2 * wait, LONGEST_WAIT)
    for _ in range(3):
        if _passed(shipper, last=True):
            return 0
        time.sleep(PASS_SECONDS)
    return 1


def _has_reports(folder: StudyFolder) -> bool:
    """Whether a spool holds more than its first line, which says that the run has been handed to a worker."""
    return any(spool.read_bytes().count(b"\n") > 1 for spool in folder.path.glob("runs/*/attempt-*/spool.jsonl"))


def _patiently(folder: StudyFolder, command: str) -> Shipper | None:
    study = folder.study()
    uri = tracking_uri(study.tracking.mlflow, folder.path.parent)
    assert uri is not None
    while True:
        try:
            return Shipper(
                study,
                study_hash(study),
                folder.path,
                uri,
                command=command,
                run_figures=analysis.run_figures if study.tracking.figures else _no_figures,
                study_files=_study_files,
                answers=_answers,
            )
        except ServiceError as error:
            log.warning("%s", error)
            if _driver_is_done(LONGEST_WAIT):
                return None


def _passed(shipper: Shipper, last: bool = False) -> bool:
    try:
        shipper.ship()
        if last:
            shipper.finish()
    except VaestudyError as error:
        log.warning("not now: %s", error)
        return False
    for uid, reason in shipper.problems.items():
        log.warning("run %s is not in MLflow: %s", uid, reason)
    return True


def _driver_is_done(seconds: float) -> bool:
    """Waits so long for the driver to close our standard input."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(readable) and not sys.stdin.buffer.read(1)


def _study_files(folder: Path) -> Mapping[str, bytes]:
    """The resolved study and every table and figure, by artifact path."""
    files = {"study.yaml": (folder / "study.yaml").read_bytes()}
    report = folder / "report"
    if report.is_dir():
        files |= {f"report/{p.name}": p.read_bytes() for p in sorted(report.iterdir()) if p.is_file()}
    return files


def _answers(folder: Path) -> Sequence[str]:
    """What the records allow to say so far, one answer a workload and budget."""
    try:
        return analysis.compare(analysis.load(folder)).answers
    except DataError as error:
        log.warning("no answer: %s", error)
        return ()


def _no_figures(record: object, folder: Path) -> Mapping[str, bytes]:
    return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
