"""The coverage table: simulates every interval and verdict of the statistics and writes ``README.md`` and CSV files.

From the root of the checkout: ``make coverage``, a few minutes on two cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from docs.results.coverage.cells import Coverage, coverage, kinds
from docs.results.coverage.verdicts import Share, shares

HERE = Path(__file__).parent

HEAD = """# How often the intervals cover

Made by `make coverage`, which simulates every interval of `vaestudy/analysis/statistics/` on data whose truth is known
([cells.py](cells.py), [verdicts.py](verdicts.py)). The same in numbers: [coverage.csv](coverage.csv) and
[verdicts.csv](verdicts.csv). What follows from it: [decision 0005](../../decisions/0005-intervals.md).

Shapes: normal; bimodal, two normal groups ten standard deviations apart, with five or three of ten values in the upper
one; skewed, exponential; very skewed, lognormal with sigma = 1. Of utilities and losses, two or four of ten runs
collapse. The error of a number is half a point or less at 4,000 studies, one point at 500. Columns are numbers of
values, replicates, runs or trials.

## Coverage of 95 % intervals

Percent of the studies that have an interval. `–`: all are refused one; `(r)`: r percent are. `≤ c`: in the other
studies every value comes from one of the two groups, and no interval can know of the second.
"""


def main() -> None:
    """Simulates every cell, on all cores, and writes the tables."""
    jobs: list[tuple[Callable[..., Coverage | Share], tuple[object, ...]]] = [
        (_coverage, (place, size, shape))
        for place, kind in enumerate(kinds())
        for shape in kind.shapes
        for size in kind.sizes
    ]
    jobs += shares()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(_call, jobs, chunksize=4))
    cells = [one for one in found if isinstance(one, Coverage)]
    verdicts = [one for one in found if isinstance(one, Share)]
    for name, rows in {"coverage": cells, "verdicts": verdicts}.items():
        table = pd.DataFrame([asdict(one) for one in rows])
        table.to_csv(HERE / f"{name}.csv", index=False, float_format="%.5g", lineterminator="\n")
    (HERE / "README.md").write_text(document(cells, verdicts))


def _coverage(place: int, size: int, shape: str) -> Coverage:
    return coverage(list(kinds())[place], size, shape)  # partial functions of lambdas do not travel to a process


def _call(job: tuple[Callable[..., Coverage | Share], tuple[object, ...]]) -> Coverage | Share:
    function, arguments = job
    return function(*arguments)


def document(cells: Sequence[Coverage], verdicts: Sequence[Share]) -> str:
    """The page."""
    parts = [HEAD, *_tables((one.interval, one.shape, one.size, _cell(one)) for one in cells)]
    for question in dict.fromkeys(one.question for one in verdicts):
        parts.append(f"\n## Percent of studies in which {question}\n")
        chosen = [one for one in verdicts if one.question == question]
        parts += _tables((one.case, one.shape, one.size, f"{100 * one.share:.1f}") for one in chosen)
    return "\n".join(parts) + "\n"


def _cell(one: Coverage) -> str:
    if one.stated == 0:
        return "–"
    refused = f" ({100 * (1 - one.stated):.0f})" if one.stated < 0.995 else ""
    ceiling = f" ≤ {100 * (1 - one.one_group):.1f}" if one.one_group > 0.005 else ""
    return f"{100 * one.covered:.1f}{ceiling}{refused}"


def _tables(values: Iterable[tuple[str, str, int, str]]) -> list[str]:
    """One table for each first value: shapes are its rows, sizes its columns."""
    by_title: dict[str, dict[str, dict[int, str]]] = {}
    for title, row, column, text in values:
        by_title.setdefault(title, {}).setdefault(row, {})[column] = text
    return [_table(title, rows) for title, rows in by_title.items()]


def _table(title: str, rows: dict[str, dict[int, str]]) -> str:
    sizes = list(next(iter(rows.values())))
    lines = [f"| {title[0].upper() + title[1:]} | {' | '.join(map(str, sizes))} |", "|---|" + "---|" * len(sizes)]
    lines += [f"| {row} | {' | '.join(texts[size] for size in sizes)} |" for row, texts in rows.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
