"""Survival curves against the leukaemia trial of Freireich 1963 and against exact binomial coverage."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vaestudy.analysis.statistics.survival import kaplan_meier, median_of_min

# Weeks of remission under 6-MP (21 patients; the last twelve were still in remission) and under placebo.
REMISSION = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
ENDED = [True] * 9 + [False] * 12
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def test_the_leukaemia_trial_has_its_published_survival() -> None:
    curve = kaplan_meier(REMISSION, ENDED)
    assert curve.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve.survival == pytest.approx([0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=5e-4)


def test_the_leukaemia_trial_has_its_published_median() -> None:
    """Weeks: 23 under 6-MP with an interval from 13 and no upper end, 8 under placebo from 4 to 11 or 12."""
    median = kaplan_meier(REMISSION, ENDED).median
    assert (median.estimate, median.low, median.high, median.n) == (23, 13, math.inf, 21)
    placebo = kaplan_meier(PLACEBO, [True] * 21).median
    assert (placebo.estimate, placebo.low) == (8, 4)
    assert placebo.high in (11, 12)


def test_the_pointwise_interval_is_greenwood_s_on_the_log_log_scale() -> None:
    curve = kaplan_meier(REMISSION, ENDED)
    at_risk, ends = np.array([21, 17, 15, 12, 11, 7, 6]), np.array([3, 1, 1, 1, 1, 1, 1])
    spread = 1.959964 * np.sqrt(np.cumsum(ends / (at_risk * (at_risk - ends)))) / np.log(curve.survival)
    assert curve.low == pytest.approx(curve.survival ** np.exp(-spread))
    assert curve.high == pytest.approx(curve.survival ** np.exp(spread))


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=30), st.floats(1, 100))
def test_with_one_cap_for_all_the_curve_is_the_share_still_without_the_event(times: list[float], cap: float) -> None:
    curve = kaplan_meier([min(time, cap) for time in times], [time <= cap for time in times])
    assert curve.times.tolist() == sorted({time for time in times if time <= cap})
    assert curve.survival == pytest.approx([np.mean([other > time for other in times]) for time in curve.times])


def test_a_curve_that_rests_at_one_half_has_its_median_there() -> None:
    """Survival after 2500 is 8/10 x 7/8 x 5/7 = 1/2, which the product of the rounded factors exceeds."""
    times = [6500.0, 1000.0, 6000.0, 4500.0, 5000.0, 1000.0, 2500.0, 2500.0, 2000.0, 5500.0]
    assert kaplan_meier(times, [False] + [True] * 9).median.estimate == 2500


def _median_in_fractions(times: list[int], seen: list[bool]) -> float:
    left = Fraction(1)
    for moment in sorted(set(times)):
        at_risk = sum(time >= moment for time in times)
        left *= Fraction(at_risk - sum(time == moment and end for time, end in zip(times, seen, strict=True)), at_risk)
        if 2 * left <= 1:
            return moment
    return math.inf


def test_the_median_of_two_thousand_random_sets_is_that_of_exact_arithmetic() -> None:
    generator = np.random.default_rng(0)
    for _ in range(2000):
        runs = int(generator.integers(1, 13))
        times, seen = generator.integers(1, 9, runs).tolist(), (generator.random(runs) < 0.8).tolist()
        assert kaplan_meier(times, seen).median.estimate == _median_in_fractions(times, seen)


def test_runs_that_never_got_there_have_a_median_beyond_the_watch() -> None:
    median = kaplan_meier([400.0] * 10, [False] * 10).median
    assert (median.estimate, median.low, median.high) == (math.inf, 400.0, math.inf)


def test_a_median_may_lie_beyond_a_watch_that_saw_few_events() -> None:
    median = kaplan_meier([100.0, *[400.0] * 19], [True, *[False] * 19]).median
    assert (median.estimate, median.low, median.high) == (math.inf, 400.0, math.inf)


@pytest.mark.parametrize(("runs", "known"), [(5, False), (6, True)])
def test_fewer_than_six_runs_carry_no_interval_of_a_median(runs: int, known: bool) -> None:
    median = kaplan_meier(list(range(1, runs + 1)), [True] * runs).median
    assert math.isfinite(median.estimate)
    assert math.isnan(median.low) is not known


def test_no_runs_have_no_median() -> None:
    curve = kaplan_meier([], [])
    assert len(curve.times) == 0
    assert math.isnan(curve.median.estimate)


@pytest.mark.parametrize("runs", range(6, 31))
def test_the_interval_of_a_median_covers_it_in_95_of_100_studies_exactly(runs: int) -> None:
    """The ends are the i-th and j-th of n times; the chance that they enclose the median is binomial."""
    median = kaplan_meier(list(range(1, runs + 1)), [True] * runs).median
    missed = stats.binom.cdf(median.low - 1, runs, 0.5) + stats.binom.sf(median.high - 1, runs, 0.5)
    assert 0.929 < 1 - missed < 0.98  # seven runs: 0.9297


@pytest.mark.parametrize(
    ("studies", "expected"),
    [
        ([[5.0, 3.0], [9.0, math.inf], [4.0, 8.0]], 4.0),
        ([[5.0, 3.0], [9.0, 7.0]], 5.0),
        ([[math.inf, math.inf], [2.0, 1.0], [math.inf, math.inf]], math.inf),
        ([[1.0], []], math.inf),
    ],
)
def test_algoperf_takes_the_median_over_studies_of_the_fastest_trial(
    studies: list[list[float]], expected: float
) -> None:
    assert median_of_min(studies) == expected


def test_no_studies_have_no_time() -> None:
    assert math.isnan(median_of_min([]))
