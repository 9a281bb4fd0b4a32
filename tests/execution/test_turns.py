"""Workers that die or hang, in a run and between two: each is replaced by one, and no run is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.execution.endless import Endless, common_of
from tests.execution.places import PLACES
from tests.launched import ROOT
from tests.tasks import settings
from vaestudy.execution import connect, disconnect, execute
from vaestudy.execution.jobs import Job
from vaestudy.records import Run
from vaestudy.spec.models import Resources

WORKERS, RUNS = 2, 24
EPOCHS = 20
"""Runs much shorter than a worker's start."""
SILENCE = {signal.SIGKILL: 240.0, signal.SIGSTOP: 30.0}
"""Seconds without a word after which a worker is taken for hung, by what one of them is sent. Ray's workers get what
processor time others leave: one that waits for its turn is not to be replaced too."""


class Brief(Endless):
    """A queue of short runs; one worker gets a signal, in mid run or when the last run is given out to it."""

    def __init__(self, places: Path, when: str, sent: signal.Signals):
        super().__init__(RUNS)
        self.released = 0
        self._places = places
        self._when = when
        self._signal: signal.Signals | None = sent
        runs = [Run(f"u{k}", "w/adam", "w", "adam", "search", k, k, {}) for k in range(RUNS)]
        self._jobs = [Job(run, settings(epochs=EPOCHS), 1) for run in runs]

    def take(self, count: int) -> Sequence[Job]:
        if self._when == "between" and len(self._jobs) == 1:
            self._send(training=False)
        taken, self._jobs = self._jobs[:count], self._jobs[count:]
        return taken

    def tick(self) -> None:
        if self._when == "within" and len(self.ended) >= RUNS // 8:
            self._send(training=True)

    def retry(self, job: Job) -> Job:
        return replace(job, attempt=job.attempt + 1)

    def release(self, jobs: Sequence[Job]) -> None:
        self.released += len(jobs)
        self._jobs += [replace(job, attempt=job.attempt + 1) for job in jobs]

    @property
    def exhausted(self) -> bool:
        return not self._jobs

    @property
    def stopping(self) -> bool:
        return False

    def _send(self, training: bool) -> None:
        """The signal, once, to a worker that trains or to one that does not; Ray shows in its name which."""
        if self._signal is None:
            return
        pids = [int(path.stem) for path in _told(self._places)]
        found = [pid for pid in pids if (".train" in _name_of(pid)) == training]
        if found:
            os.kill(found[0], self._signal)
            self._signal = None


def _name_of(pid: int) -> str:
    return " ".join(psutil.Process(pid).cmdline())


def _told(places: Path) -> list[Path]:
    return list(places.glob("*.json"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "sent", "released"), [("within", "SIGKILL", 0), ("between", "SIGKILL", 1), ("between", "SIGSTOP", 1)]
)
def test_a_worker_that_dies_or_hangs_is_replaced_by_one(tmp_path: Path, when: str, sent: str, released: int) -> None:
    for number in range(3 if when == "between" else 1):  # which worker gets the last run is Tune's affair
        places = tmp_path / str(number)
        places.mkdir()
        told = _asked(places, when, sent)
        assert told["done"] == RUNS
        assert len(_told(places)) <= WORKERS + 1
        if told["released"] == released:
            return
    pytest.fail(f"runs given back: {told['released']}, expected {released}")


def _asked(places: Path, when: str, sent: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.execution.test_turns", str(places), when, sent]
    environment = {**os.environ, PLACES: str(places)}
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def main(places: Path, when: str, sent: str) -> None:
    """Says what has become of the runs, as JSON."""
    signalled = signal.Signals[sent]
    queue = Brief(places, when, signalled)
    common = replace(common_of(places, "cpu", ("tests.execution.places",)), retries=1, silence=SILENCE[signalled])
    cluster = connect(Resources(device="cpu", workers=WORKERS), None)
    try:
        execute(queue, common, cluster, population=1)
    finally:
        disconnect()
    done = sum(end.outcome == "done" for end in queue.ended)
    print(json.dumps({"done": done, "released": queue.released}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
