"""Training and tables give the numbers that are stored; ``make golden`` stores them anew."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.golden import tables, traces

TOLERANCE = 1e-9
"""Relative: another processor sums in another order."""


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return tables.files(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", traces.TRACES)
def test_a_trace_is_the_one_that_is_stored(name: str) -> None:
    found, stored = traces.flat(traces.trace(name)), traces.flat(traces.stored(name))
    assert found == pytest.approx(stored, rel=TOLERANCE, abs=TOLERANCE * 1e-3)


def test_every_trace_is_stored_and_nothing_else_is() -> None:
    assert {path.stem for path in traces.FOLDER.iterdir()} == set(traces.TRACES)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("losses", {"beta": {}}),
        ("losses", {"free_bits": {}}),
        ("losses", {"stages": []}),
        ("losses", {"schedule": "constant"}),
        ("losses", {"warmup": 0.0}),
        ("losses", {"clip_norm": None}),
        ("losses", {"decoder_lr_ratio": 1.0}),
        ("score", {"ema": 0.0}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_trace_depends_on_every_setting_of_both_members(name: str, changed: dict[str, Any]) -> None:
    with_it, without = traces.stored("sgd"), traces.trace("sgd", changed)
    for member in with_it:
        assert traces.flat(without[member][name]) != pytest.approx(traces.flat(with_it[member][name]), rel=1e-4)


@pytest.mark.parametrize("name", [name for name in tables.NAMES if name.endswith(".csv")])
def test_the_numbers_of_the_report_are_those_that_are_stored(name: str, report: dict[str, str]) -> None:
    stored = pd.read_csv(tables.FOLDER / name)
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(report[name])), stored, rtol=TOLERANCE, atol=0)


@pytest.mark.parametrize("name", [name for name in tables.NAMES if not name.endswith(".csv")])
def test_the_words_of_the_report_are_those_that_are_stored(name: str, report: dict[str, str]) -> None:
    assert report[name] == (Path(tables.FOLDER) / name).read_text()
