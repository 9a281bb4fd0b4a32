"""Locks between processes of one machine, which free themselves when their holder ends, however it ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def held(lock: Path) -> bool:
    """Whether a living process holds the lock that this file is."""
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def holding(lock: Path) -> Iterator[None]:
    """Holds a lock, having waited for whoever has it."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
