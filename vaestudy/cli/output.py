"""Where things are printed: results on standard output, progress on standard error, JSON where asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 200
"""Columns of an output that is no terminal."""


@dataclass
class Output:
    """What the options of every command decided."""

    verbose: bool = False
    quiet: bool = False
    json_lines: bool = False
    out: Console = field(default_factory=lambda: _console(stderr=False))
    err: Console = field(default_factory=lambda: _console(stderr=True))

    def result(self, text: str) -> None:
        """A line of results."""
        self.out.print(Text(text))

    def note(self, text: str) -> None:
        """A line for people who watch; nothing under ``--quiet``."""
        if not self.quiet:
            self.err.print(Text(text))

    def detail(self, text: str) -> None:
        """A line for people who asked for more with ``--verbose``."""
        if self.verbose:
            self.err.print(Text(text))

    def json(self, value: Any) -> None:
        """One JSON object on a line."""
        self.out.file.write(json.dumps(_plain(value), ensure_ascii=False) + "\n")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], best: frozenset[int] = frozenset()) -> None:
        """A table on standard output; the best rows in bold."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, name in enumerate(header):
            table.add_column(Text(name), overflow="fold", no_wrap=index == 0)
        for index, row in enumerate(rows):
            table.add_row(*map(Text, row), style="bold" if index in best else None)
        self.out.print(table, soft_wrap=False)


def _console(stderr: bool) -> Console:
    """A console as wide as its terminal, and wide enough for any table where there is none."""
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = WIDE
    return console


def seconds(value: float | None) -> str:
    """``1:05`` or ``2:03:40``; a dash where unknown."""
    if value is None or math.isnan(value):
        return "–"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _plain(value: Any) -> Any:
    """JSON's types only; a number that is not finite becomes null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
