"""Writes the table of docs/reliability.md from docs/reliability.csv; with a file of fresh lines, takes those in first.

python -m tests.chaos.table [.chaos/bars.csv]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.ledger import Line, append, read

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- the table: python -m tests.chaos.table -->", "<!-- end of the table -->"


def table(lines: Sequence[Line]) -> str:
    """The rows as Markdown, by number of the bar; of several runs of a test the last."""
    latest = {(line.bar, line.fault): line for line in lines}
    rows = sorted(latest.values(), key=lambda line: (_number(line.bar), line.fault))
    return "\n".join(
        [
            "| bar | fault | times met | measured | | seconds |",
            "| --- | --- | ---: | --- | --- | ---: |",
            *(f"| {r.bar} | {r.fault} | {r.met} | {r.figures} | {r.verdict} | {r.seconds} |" for r in rows),
        ]
    )


def page(text: str, lines: Sequence[Line]) -> str:
    """The page with its table exchanged."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(lines)}\n{END}{after}"


def _number(bar: str) -> int:
    found = re.search(r"\d+", bar)
    return int(found.group()) if found else 1000


def main(fresh: Sequence[str]) -> None:
    """Takes fresh lines into docs/reliability.csv and writes the page."""
    kept = DOCS / "reliability.csv"
    lines = read(kept) if kept.exists() else []
    known = {(line.bar, line.fault): line for line in [*lines, *(line for file in fresh for line in read(Path(file)))]}
    kept.unlink(missing_ok=True)
    for _, line in sorted(known.items(), key=lambda item: (_number(item[0][0]), item[0][1])):
        append(line, kept)
    document = DOCS / "reliability.md"
    document.write_text(page(document.read_text(encoding="utf-8"), list(known.values())), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
