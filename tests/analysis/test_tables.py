from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.analysis.values import around
from tests.made_up import Builder, study
from vaestudy.analysis.report import report
from vaestudy.analysis.statistics.intervals import Interval
from vaestudy.analysis.tables import count, estimate, rate, setting

NAN = math.nan


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (Interval(27.834, 27.781, 27.887, 10), "27.83 ± 0.05"),
        (Interval(27.834, NAN, NAN, 1), "27.83"),
        (Interval(NAN, NAN, NAN, 0), "–"),
    ],
)
def test_estimates_have_two_decimals_and_an_interval_where_there_is_one(interval: Interval, expected: str) -> None:
    assert estimate(interval) == expected


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (Interval(0.4, 0.1216, 0.7376, 10), "40 % [12, 74]"),
        (Interval(NAN, NAN, NAN, 0), "–"),
    ],
)
def test_rates_are_whole_percents(interval: Interval, expected: str) -> None:
    assert rate(interval) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.000123456, "0.000123"),
        (12345.6, "1.23e+04"),
        (0.0, "0"),
        (1.0, "1"),
        (7, "7"),
        ("cosine", "cosine"),
        (True, "True"),
        (0.99974, "0.99974"),
        (0.9997, "0.9997"),
        (0.95, "0.95"),
        (0.912345, "0.9123"),
        (0.5, "0.5"),
    ],
)
def test_settings_have_three_digits_and_decays_three_of_their_distance_to_one(value: object, expected: str) -> None:
    assert setting(value) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"),
        (4320, "4320"),
        (9999, "9999"),
        (10_000, "10.0k"),
        (54_321, "54.3k"),
        (543_210, "543k"),
        (999_600, "1.00M"),
        (1_234_567, "1.23M"),
        (3.01e10, "30.1G"),
    ],
)
def test_large_counts_have_three_digits(number: float, expected: str) -> None:
    assert count(number) == expected


def test_the_report_shows_what_the_terminal_prints(two_groups: Builder) -> None:
    made = report(two_groups.folder)[0]
    assert made.header[0] == "method" and made.header[-1] == "best setting"
    assert made.header[1] == "test NLL ↓\n[nats, IWAE-10]"
    assert [row[0] for row in made.rows] == ["adam", "sgd", "momentum"]
    assert all(len(row) == len(made.header) for row in made.rows)
    assert made.best == {0}
    assert "6/10" in made.rows[1]


def test_a_reader_is_warned_of_seeds_in_two_groups(two_groups: Builder) -> None:
    notes = report(two_groups.folder)[0].notes
    assert "sgd: its seeds fall into two groups; read its failure rates, not its mean alone." in notes


def test_a_difference_that_may_be_nothing_says_what_would_have_been_seen(small: Builder) -> None:
    for method, shift in {"sgd": 0.02, "adam": 0.0}.items():
        small.search(method, [28.0])
        small.confirm(method, 0, [28.0 + shift * (-1) ** seed for seed in range(4)])
    assert any(
        "sgd: not told apart from adam; 4 seeds would tell 0.0" in note for note in report(small.folder)[0].notes
    )


def test_several_workloads_have_a_column_of_their_own(tmp_path: Path) -> None:
    small = Builder(tmp_path, study(workloads=("mnist", "fashion")))
    small.search("adam", [28.0], workload="fashion")
    small.confirm("adam", 0, around(28.0, 3), workload="fashion")
    made = report(small.folder)[0]
    assert made.header[:3] == ("workload", "trials", "method")
    assert made.search.header[:3] == ("workload", "trials", "method")
