"""What a chaos test met and measured, one line of a CSV file each."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

FILE = Path(os.environ.get("VAESTUDY_CHAOS_LINES", ".chaos/bars.csv"))


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes:
        bar: e.g. ``R5``. fault: what was done.
        met: how often it was done. figures: what was measured, ``name value`` in pairs.
        verdict: ``holds`` or ``broken``. seconds: the test's, rounded.
    """

    bar: str
    fault: str
    met: int
    figures: str
    verdict: str
    seconds: int


@dataclass
class Ledger:
    """Filled by a test: how many faults it met, and its figures by name."""

    bar: str
    fault: str
    met: int = 0
    figures: dict[str, Any] = field(default_factory=dict)

    def none(self, name: str, found: Collection[object]) -> None:
        """Counts what must not be there as the figure ``name``, call by call; fails if there is any."""
        self.figures[name] = self.figures.get(name, 0) + len(found)
        assert not found, f"{name}: {found}"

    def line(self, held: bool, seconds: float) -> Line:
        """The row, once the test has ended."""
        figures = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        return Line(self.bar, self.fault, self.met, figures, "holds" if held else "broken", round(seconds))


def append(line: Line, file: Path = FILE) -> None:
    """Adds a row to the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = not file.exists()
    with file.open("a", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, [each.name for each in fields(Line)], lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerow(asdict(line))


def read(file: Path) -> list[Line]:
    """The rows of a file."""
    with file.open(newline="", encoding="utf-8") as handle:
        return [
            Line(row["bar"], row["fault"], int(row["met"]), row["figures"], row["verdict"], int(row["seconds"]))
            for row in csv.DictReader(handle)
        ]
