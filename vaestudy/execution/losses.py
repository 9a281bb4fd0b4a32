"""Why a group lost its worker, and how often a run may.

A worker that raises leaves a ``Loss`` as JSON before it does; of one that died Ray tells in words. Nothing that Ray
pickled is read: its folder may be written by others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from vaestudy.errors import (
    CheckpointError,
    ConflictError,
    DataError,
    DiskError,
    ServiceError,
    UsageError,
    VaestudyError,
)

Kind = Literal["memory", "raised", "died"]

MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "_ALLOC_FAILED")
"""What torch says, or cuBLAS and cuDNN through it, where it raises a ``RuntimeError``."""

MONITOR_WORDS = ("low on memory", "memory monitor")
"""What Ray says of a worker that it ended for want of memory."""

FOR_THE_USER = (DiskError, ServiceError, CheckpointError, DataError, ConflictError, UsageError)
"""Errors of a worker that end the study."""


@dataclass(frozen=True)
class Loss:
    """Why a group lost its worker.

    Attributes:
        kind: ``memory``: fewer runs together may do. ``raised``: code failed, of one run. ``died``: of whatever.
        reason: one line for people.
        error, message: the name and message of an error of ours that is to end the study; empty for any other.
    """

    kind: Kind
    reason: str
    error: str = ""
    message: str = ""

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def for_the_user(self) -> VaestudyError | None:
        """The error that is to end the study."""
        return next((made(self.message) for made in FOR_THE_USER if made.__name__ == self.error), None)


def loss_of(error: Exception, device: str) -> Loss:
    """What a worker raises, as the driver is told.

    Args:
        device: which one it trained on, in words.
    """
    ours = next((known.__name__ for known in FOR_THE_USER if isinstance(error, known)), "")
    short = next(filter(_lacks_memory, _causes(error)), None)
    if short is not None and not ours:
        return Loss("memory", f"not enough memory on {device}: {_line(short)}"[:500])
    return Loss("raised", _line(error)[:500], ours, str(error) if ours else "")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that led to it, which are the cause of what was raised in their stead."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _lacks_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in MEMORY_WORDS)


def _line(error: BaseException) -> str:
    """An error in one line: its last one, or the one that speaks of memory, which others may follow."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if any(words in line for words in MEMORY_WORDS)] or lines[-1:]
    return ": ".join([type(error).__name__, *telling[:1]])


def death_of(said: str) -> Loss:
    """What Ray says of a worker that told nothing itself."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    short = any(words in said for words in MONITOR_WORDS)
    first = lines[0] if lines else "nobody knows of what"  # of its last line the reader knows nothing
    return Loss("memory" if short else "died", f"its worker died: {first}"[:500])


@dataclass
class Patience:
    """Counts the workers that a run has lost without getting further, and says when that is enough.

    Losing workers is no fault of a run that gets further each time: hosts may be taken away as often as they like.
    """

    retries: int
    _reached: dict[str, int] = field(default_factory=dict)
    _lost_at: dict[str, int] = field(default_factory=dict)
    _lost: dict[str, int] = field(default_factory=dict)

    def reached(self, uid: str, step: int) -> None:
        """A run stands at this update."""
        self._reached[uid] = max(step, self._reached.get(uid, 0))

    def lost(self, uid: str) -> bool:
        """A run lost its worker; whether to give it up."""
        step = self._reached.get(uid, 0)
        further = step > self._lost_at.get(uid, -1)
        self._lost[uid] = 1 if further else self._lost[uid] + 1
        self._lost_at[uid] = step
        return self._lost[uid] > self.retries
