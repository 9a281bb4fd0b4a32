"""Why a group lost its worker, and how often a run may."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

Kind = Literal["memory", "raised", "died"]

MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")
"""What torch says where it raises a plain ``RuntimeError``."""


def cause_of(error: BaseException) -> BaseException:
    """What a worker raised, out of Ray's wrapping; Ray's own error where the worker died."""
    return error.cause if isinstance(error, RayTaskError) and isinstance(error.cause, BaseException) else error


def kind_of(cause: BaseException) -> Kind:
    """``memory``: fewer runs together may do; ``raised``: code failed, of one run perhaps; ``died``: of whatever."""
    if isinstance(cause, (MemoryError, torch.OutOfMemoryError, OutOfMemoryError)):
        return "memory"
    if isinstance(cause, RuntimeError) and any(words in str(cause) for words in MEMORY_WORDS):
        return "memory"
    return "died" if isinstance(cause, RayError) else "raised"


def reason_of(cause: BaseException) -> str:
    """One line for people."""
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if isinstance(cause, RayError):  # its first line says what died, of its last the reader knows nothing
        return f"its worker died: {lines[0] if lines else type(cause).__name__}"[:500]
    return f"{type(cause).__name__}: {lines[-1]}"[:500] if lines else type(cause).__name__


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
