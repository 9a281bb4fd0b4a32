"""Every error that a user can cause or meet, with the exit code that the command line gives for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class VaestudyError(Exception):
    """An error with one clear message for the user; ``exit_code`` is what the process ends with."""

    exit_code = 70


class UsageError(VaestudyError, ValueError):
    """The command line or an argument is wrong (exit 2)."""

    exit_code = 2


class DataError(VaestudyError):
    """A data set is missing, damaged or not what it claims to be (exit 3)."""

    exit_code = 3


class CheckpointError(VaestudyError):
    """A checkpoint is damaged, foreign or of another study (exit 3)."""

    exit_code = 3


class ServiceError(VaestudyError):
    """A service (Ray, database, MLflow, device) cannot be reached or refuses us (exit 4)."""

    exit_code = 4


class ConflictError(VaestudyError):
    """The study is locked, has changed or exists already (exit 5)."""

    exit_code = 5


class UnsuccessfulError(VaestudyError):
    """The study ended, but below its own success rule (exit 6)."""

    exit_code = 6


class DiskError(VaestudyError):
    """The disk is full or cannot be written (exit 74)."""

    exit_code = 74


class InterruptedStudyError(VaestudyError):
    """The study was stopped after saving: exit 128 + the signal's number (130 for Ctrl-C, 143 for SIGTERM)."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.exit_code = 128 + signal_number


@dataclass(frozen=True)
class Problem:
    """One broken law in a study file: where it is, and what would be right."""

    key: str
    message: str
    line: int | None = None
    column: int | None = None
    file: Path | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        key = f"{self.key}: " if self.key else ""
        return f"{place}: error: {key}{self.message}" if place else f"error: {key}{self.message}"


class SpecError(UsageError):
    """A study file breaks one or more laws; all of them are listed (exit 2)."""

    def __init__(self, problems: Iterable[Problem]):
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(name: str, choices: Iterable[str]) -> str:
    """A hint that names the valid choices, the nearest first: ``did you mean 'adam'? (one of: adam, sgd)``."""
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}(one of: {', '.join(known)})"
