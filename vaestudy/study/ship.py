"""The shipper process: reads spools, writes MLflow, never in training's way.

The driver starts it, starts it again if it dies, and closes its standard input at the end; a killed driver closes it
too. Either way it ships what is left and ends. There is one at a time: a new driver's shipper waits for the old one's,
which gives way.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from vaestudy.errors import DataError, VaestudyError
from vaestudy.records import RunRecord
from vaestudy.spec import Study, study_hash
from vaestudy.study.folder import StudyFolder
from vaestudy.study.locks import held
from vaestudy.study.logs import logging_to
from vaestudy.tracking import Shipper, SupersededError, tracking_uri

PASS_SECONDS = 2.0
LONGEST_WAIT = 30.0
LAST_SECONDS = 30.0
"""How long, after its driver's end, a shipper goes on trying where MLflow does not answer; a server starts in less."""

PATIENCE = 120.0
"""Seconds that the end of a study waits for MLflow to catch up."""

HURRY = 3.0
"""Seconds that a study which is stopped waits for it."""

UNNOTICED = 5.0
"""Seconds of waiting that need no word."""

RESTART_SECONDS = 30.0
"""The least time between two shippers of a driver."""

Notice = Callable[[str], None]

# The analysis is imported where it is used: the driver imports this module, and need not wait for matplotlib and scipy.

log = logging.getLogger("vaestudy.study.ship")  # not __main__, as which it runs


class ShipperProcess:
    """The driver's hold on its shipper."""

    def __init__(self, command: Sequence[str], folder: StudyFolder, notice: Notice):
        self.behind = False
        self._command = command
        self._folder = folder
        self._notice = notice
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    @classmethod
    @contextmanager
    def start(
        cls, study: Study, folder: StudyFolder, command: str, notice: Notice = lambda text: None
    ) -> Iterator[ShipperProcess]:
        """Starts the shipper, or nothing where tracking is off.

        Args:
            folder: the study's, which this process has locked.
            command: the command line, as MLflow shows it.
            notice: told in a line what the user should know.
        """
        arguments = [sys.executable, "-m", "vaestudy.study.ship", str(folder.path), command, folder.holder]
        shipper = cls(arguments, folder, notice)
        if tracking_uri(study.tracking.mlflow, folder.path.parent) is not None:
            shipper._start()
        try:
            yield shipper
        finally:
            shipper.finish(HURRY if _has_reports(folder) else 0.0)

    def tend(self) -> None:
        """Starts another shipper where the last one has died, but not all the time."""
        if self._has_died() and time.monotonic() - self._started >= RESTART_SECONDS:
            self._start()

    def finish(self, patience: float = PATIENCE) -> None:
        """Lets the shipper catch up and end; ``behind`` says that it has not yet. It goes on without us then, of which
        the user is told where there was any patience."""
        if self._process is None:
            return
        if self._has_died():
            self._start()
        process, self._process = self._process, None
        assert process.stdin is not None
        process.stdin.close()
        code = self._code(process, patience)
        self.behind = code != 0
        if self.behind and patience:
            how = "is still being written, in the background" if code is None else "has not caught up"
            log.warning("MLflow %s", how)
            self._notice(
                f"MLflow {how} (see {self._folder.shipper_log}); nothing is lost, and what is missing there "
                f"is sent with: vaestudy resume {self._folder.name}"
            )

    def _start(self) -> None:
        if self._process is not None:
            log.warning("the shipper has died (exit code %s); another one goes on", self._process.returncode)
        with self._folder.shipper_log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"},
            )
        self._started = time.monotonic()

    def _has_died(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _code(self, process: subprocess.Popen[bytes], patience: float) -> int | None:
        """The shipper's exit code; None where our patience ends first, or the user's."""
        try:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(min(patience, UNNOTICED))
            if patience > UNNOTICED:
                self._notice(f"Waiting for MLflow, {patience:.0f} s at most (Ctrl-C goes on without it) ...")
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(patience - UNNOTICED)
        except KeyboardInterrupt:
            log.warning("told not to wait for MLflow")
        return None


@contextmanager
def alone(folder: StudyFolder) -> Iterator[None]:
    """Holds a study's side of MLflow for one process, which waits for the one that has it; two of them at once would
    double runs. The lock frees itself when the process ends, however it ends."""
    with _lock(folder).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lag(folder: StudyFolder) -> float:
    """Seconds since MLflow had all that spools held, or since somebody began to send it; 0 where nobody has yet."""
    lock = _lock(folder)
    return max(0.0, time.time() - lock.stat().st_mtime) if lock.exists() else 0.0


def shipping(folder: StudyFolder) -> bool:
    """Whether a shipper is at work, be it without its driver."""
    return held(_lock(folder))


def _lock(folder: StudyFolder) -> Path:
    """Held while a shipper is at work; as old as its last pass that sent everything."""
    return folder.path / "shipper.lock"


def ship_all(folder: StudyFolder, command: str) -> None:
    """Brings MLflow to what the records say, once, in this process, which is ``alone`` with it.

    Raises:
        ServiceError: MLflow does not answer.
    """
    _shipper(folder, command, lambda: False).finish()


def main(path: str, command: str, driver: str) -> int:
    """The shipper's life, logged."""
    os.nice(5)
    folder = StudyFolder(Path(path))
    with logging_to(folder.shipper_log, folder.name):
        return _live(folder, command, driver)


def _live(folder: StudyFolder, command: str, driver: str) -> int:
    """A pass every two seconds, slower while MLflow does not answer; 0 where all is shipped, or left to the shipper of
    another driver."""
    while not _has_reports(folder) and not _driver_is_done(PASS_SECONDS):
        pass  # making MLflow's database takes seconds that the first trials need to start
    with alone(folder):
        try:
            return _ship(_shipper(folder, command, lambda: folder.holder != driver), _lock(folder))
        except SupersededError:
            log.info("a new driver has the study: its shipper goes on")
            return 0


def _ship(shipper: Shipper, clock: Path) -> int:
    wait = PASS_SECONDS
    while not _driver_is_done(wait):
        if _passed(shipper):
            wait = PASS_SECONDS
            clock.touch()
        else:
            wait = min(2 * wait, LONGEST_WAIT)
    until = time.monotonic() + LAST_SECONDS
    while not _passed(shipper, last=True):
        if time.monotonic() > until:
            return 1
        time.sleep(PASS_SECONDS)
    return 0


def _has_reports(folder: StudyFolder) -> bool:
    """Whether a spool holds more than its first line, which says that the run has been handed to a worker."""
    return any(spool.read_bytes().count(b"\n") > 1 for spool in folder.path.glob("runs/*/attempt-*/spool.jsonl"))


def _shipper(folder: StudyFolder, command: str, superseded: Callable[[], bool]) -> Shipper:
    study = folder.recorded()
    uri = tracking_uri(study.tracking.mlflow, folder.path.parent)
    assert uri is not None
    return Shipper(
        study,
        study_hash(study),
        folder.path,
        uri,
        command=command,
        run_figures=_figures if study.tracking.figures else _no_figures,
        study_files=_study_files,
        answers=_answers,
        superseded=superseded,
    )


def _passed(shipper: Shipper, last: bool = False) -> bool:
    try:
        shipper.ship()
        if last:
            shipper.finish()
    except SupersededError:
        raise
    except VaestudyError as error:
        log.warning("not now: %s", error)
        return False
    for uid, reason in shipper.problems.items():
        log.warning("run %s is not in MLflow: %s", uid, reason, extra={"runs": [uid]})
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
    from vaestudy.analysis.compare import compare
    from vaestudy.analysis.frames import load

    try:
        return compare(load(folder)).answers
    except DataError as error:
        log.warning("no answer: %s", error)
        return ()


def _figures(record: RunRecord, folder: Path) -> Mapping[str, bytes]:
    """Of confirmed runs; MLflow draws the curves of all runs itself."""
    if record.run.stage != "confirm":
        return {}
    from vaestudy.analysis.run_figures import run_figures

    return run_figures(record, folder)


def _no_figures(record: object, folder: Path) -> Mapping[str, bytes]:
    return {}


if __name__ == "__main__":
    sys.excepthook = lambda *_: None  # the log has what ended it
    sys.exit(main(*sys.argv[1:]))
