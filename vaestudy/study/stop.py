"""Asking a study that runs, wherever it does, to save and stop."""

from __future__ import annotations

import time

from vaestudy.errors import ConflictError
from vaestudy.study.folder import StudyFolder
from vaestudy.study.working_copy import ask_to_stop, refresh

STOP_SECONDS = 60.0


def stop(folder: StudyFolder) -> None:
    """Asks a running study to save and stop, and waits until it has.

    Raises:
        ConflictError: it is not running, or has not stopped after a minute.
    """
    if not folder.running:
        raise ConflictError(f"study {folder.name!r} is not running")
    ask_to_stop(folder.path, folder.store)
    deadline = time.monotonic() + STOP_SECONDS
    while folder.running:
        if time.monotonic() > deadline:
            raise ConflictError(f"study {folder.name!r} has not stopped after {STOP_SECONDS:.0f} s; see {folder.log}")
        time.sleep(0.2)
        refresh(folder.path, folder.store)
