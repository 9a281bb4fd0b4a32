"""Writes the golden files anew: ``make golden``. The commit that brings them says why the numbers moved."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.golden import tables, traces


def write(folder: Path, files: Mapping[str, str]) -> None:
    """The folder holds these files and no others."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text)


with tempfile.TemporaryDirectory() as results:
    write(tables.FOLDER, tables.files(Path(results)))
write(traces.FOLDER, traces.files())
