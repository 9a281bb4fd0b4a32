"""Where the study of a file lies, known before the file is checked: that needs torch, which takes seconds to load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from vaestudy.errors import UsageError
from vaestudy.spec.models import Name, Storage
from vaestudy.spec.overrides import apply_overrides
from vaestudy.spec.reader import read_file
from vaestudy.store import ResultsFolder, results_at


@dataclass(frozen=True)
class Heading:
    """A study's name, and the folder of all studies that its file names."""

    name: str
    results: ResultsFolder


class _Written(BaseModel):
    """The part of a study file that says it; the rest is not looked at."""

    name: Name
    storage: Storage = Storage()


def heading(path: Path, overrides: Sequence[str] = ()) -> Heading | None:
    """The heading of a study file, after ``key=value`` overrides; None where that much is unsound.

    Raises:
        SpecError: the file cannot be read, or is not YAML as study files have it.
    """
    tree = apply_overrides(read_file(path), overrides).plain()
    try:
        written = _Written.model_validate(tree)
        return Heading(written.name, results_at(written.storage.results))
    except (ValidationError, UsageError):
        return None
