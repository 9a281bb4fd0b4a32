"""The tables of one report, from records that never change."""

from __future__ import annotations

from pathlib import Path

from tests.analysis.values import around
from tests.made_up import Builder, Made, falling, study
from vaestudy.analysis.compare import compare
from vaestudy.analysis.frames import load
from vaestudy.analysis.stored import as_stored
from vaestudy.analysis.table_files import table_files

FOLDER = Path(__file__).parent / "report"
NAMES = ("comparison.csv", "comparison.md", "comparison.tex", "curves.csv", "search.tex")


def recorded(results: Path) -> Path:
    """A study of three methods under two budgets, with seeds that collapse or diverge and a trial that fails."""
    made = study(
        ("sgd", "momentum", "adam"),
        trials=4,
        seeds=6,
        confirm={"seeds": 6, "iwae_samples": 10, "budgets": [2, 4]},
    )
    builder = Builder(results, made)
    builder.search("sgd", [28.9, None, 28.4, 52.9], {1: "failed"})
    builder.search("momentum", [28.1, 28.6, 49.7, None])
    builder.search("adam", [27.9, 28.0, 27.7, Made(27.8, curve=falling(60.0, 40.0, 31.5, 28.9, 27.8))])
    for method, trial, values in (
        ("sgd", 0, [*around(28.8, 4), 52.9, 49.6]),
        ("sgd", 2, [*around(28.5, 5), None]),
        ("momentum", 0, around(28.2, 6, 0.3)),
        ("adam", 0, around(27.95, 6)),
        ("adam", 2, around(27.83, 6, 0.2)),
    ):
        builder.confirm(method, trial, values)
    return builder.folder


def files(results: Path) -> dict[str, str]:
    """Every table as the text of its file; ``results`` is an empty folder to work in."""
    records = as_stored(load(recorded(results)))
    made = table_files(("csv", "md", "tex"), records, compare(records))
    return {name: made[name].decode() for name in NAMES}
