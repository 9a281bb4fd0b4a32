"""The command line with a fault aimed at a named point: ``python -m tests.chaos.aimed POINT COUNT launch ...``.

The process kills itself with SIGKILL, or runs the shell command in ``VAESTUDY_FAULT``, when it comes to the point for
the COUNT-th time. Only the driver is aimed at; nothing of the product knows of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vaestudy.cli.main import main
from vaestudy.execution.tuner import Dispatcher
from vaestudy.records import Spool
from vaestudy.search import CellSearch
from vaestudy.study.queue import StudyQueue

LATER_SECONDS = (0.0, 0.7, 1.5)
"""After a trial's end: by the number of the kill."""

LATER_TRIALS = 6
"""And no more trials than these, however fast they are, so that each kill leaves some to the next."""


def strike() -> None:
    """The fault: a shell command where one is given, else kill -9."""
    command = os.environ.get("VAESTUDY_FAULT")
    if command:
        subprocess.run(command, shell=True, check=True)
    else:
        os.kill(os.getpid(), signal.SIGKILL)


class Aim:
    """Counts how often a point was passed; strikes at the last."""

    def __init__(self, count: int):
        self.left = count

    def __call__(self, wanted: bool = True) -> None:
        if wanted:
            self.left -= 1
            if self.left == 0:
                strike()


def after(owner: Any, name: str, then: Callable[..., None]) -> None:
    """Calls ``then`` with the result and arguments of every call of a method or function."""
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        then(result, *args)
        return result

    setattr(owner, name, wrapped)


def set_aim(point: str, count: int) -> None:
    """Aims at a point.

    after-ask: Optuna has the trial, no spool. after-start: its spool is there, no worker has it. mid-epoch: a worker
    trains. after-report: a report is in the spool, the search has not seen it. after-end: the end is in the spool, the
    search was not told. after-tell: 0 to 2 s after the search was told, and no more than six trials. confirm: a
    confirmation run has reported. export: one of the files is written.
    """
    aim = Aim(count)
    if point == "after-ask":
        after(CellSearch, "ask", lambda ask, *_: aim(ask is not None))
    elif point == "after-start":
        after(StudyQueue, "_open", lambda *_: aim())
    elif point == "mid-epoch":
        after(Dispatcher, "tick", lambda _, self: aim(bool(self._patience._reached)))
    elif point == "after-report":
        after(Spool, "report", lambda fresh, *_: aim(bool(fresh)))
    elif point == "after-end":
        after(Spool, "end", lambda *_: aim())
    elif point == "after-tell":
        delay = LATER_SECONDS[count % len(LATER_SECONDS)]
        latest = Aim(count + LATER_TRIALS)
        after(CellSearch, "tell", lambda *_: threading.Timer(delay, aim).start() if delay else aim())
        after(CellSearch, "tell", lambda *_: latest())
    elif point == "confirm":
        after(StudyQueue, "report", lambda _, self, job, *__: aim(job.run.stage == "confirm"))
    elif point == "export":
        after(Path, "replace", lambda _, self, target: aim(target.parent.name == "report"))
    else:
        sys.exit(f"no point {point!r}")


if __name__ == "__main__":
    set_aim(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
