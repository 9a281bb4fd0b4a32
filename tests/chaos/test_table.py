"""The table of docs/reliability.md is that of its lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.ledger import Ledger, Line, append, read
from tests.chaos.table import DOCS, page, table


def test_the_page_shows_the_lines_that_are_kept() -> None:
    text = (DOCS / "reliability.md").read_text(encoding="utf-8")
    lines = read(DOCS / "reliability.csv")
    assert lines
    assert page(text, lines) == text


def test_of_several_runs_the_last_counts_and_bars_are_in_order() -> None:
    lines = [
        Line("R10", "late", 1, "", "holds", 1),
        Line("R9", "early", 1, "", "broken", 1),
        Line("R9", "early", 2, "lost 0", "holds", 3),
    ]
    rows = table(lines).splitlines()[2:]
    assert rows == ["| R9 | early | 2 | lost 0 | holds | 3 |", "| R10 | late | 1 |  | holds | 1 |"]


def test_a_line_comes_back_as_it_was_written(tmp_path: Path) -> None:
    ledger = Ledger("R1", "killed, often", 3, {"lost": 0, "doubled": 0})
    line = ledger.line(True, 1.4)
    append(line, tmp_path / "lines.csv")
    append(line, tmp_path / "lines.csv")
    assert read(tmp_path / "lines.csv") == [line, line]
    assert line.figures == "lost 0, doubled 0"


def test_what_must_not_be_there_is_counted_then_fails() -> None:
    ledger = Ledger("R1", "killed")
    ledger.none("lost", [])
    assert ledger.figures == {"lost": 0}
    with pytest.raises(AssertionError, match=r"lost: \['a row'\]"):
        ledger.none("lost", ["a row"])
    assert ledger.figures == {"lost": 1}
