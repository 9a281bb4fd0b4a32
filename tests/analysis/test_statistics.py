"""Statistics against closed forms, independent implementations, and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vaestudy.analysis.statistics import (
    detectable_difference, expected_best, is_bimodal, mean_interval, paired_difference, rate_interval, winner,
)

values = st.lists(st.floats(-100, 100), min_size=2, max_size=20)


@given(values)
def test_the_mean_interval_is_students(x: list[float]) -> None:
    found = mean_interval(x)
    spread = stats.sem(x)
    if spread > 1e-9:
        low, high = stats.t.interval(0.95, len(x) - 1, np.mean(x), spread)
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)


def test_one_value_has_a_mean_and_no_interval() -> None:
    found = mean_interval([3.0])
    assert found.estimate == 3.0
    assert math.isnan(found.low)


def test_no_value_has_nothing() -> None:
    assert math.isnan(mean_interval([]).estimate)


def test_the_mean_interval_covers_the_truth_in_95_of_100_samples() -> None:
    rng = np.random.default_rng(0)
    found = [mean_interval(list(rng.normal(2.0, 3.0, size=5))) for _ in range(3000)]
    assert np.mean([f.low <= 2.0 <= f.high for f in found]) == pytest.approx(0.95, abs=0.015)


def test_the_rate_interval_is_clopper_pearsons() -> None:
    found = rate_interval(4, 10)
    expected = (stats.beta.ppf(0.025, 4, 7), stats.beta.ppf(0.975, 5, 6))
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0.0, 0.3085), (10, 0.6915, 1.0)])
def test_the_rate_interval_is_known_at_its_ends(count: int, low: float, high: float) -> None:
    found = rate_interval(count, 10)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("rate", [0.05, 0.4])
def test_the_rate_interval_covers_the_truth_at_least_as_often_as_it_says(rate: float) -> None:
    rng = np.random.default_rng(1)
    found = {count: rate_interval(count, 10) for count in range(11)}
    assert np.mean([found[c].low <= rate <= found[c].high for c in rng.binomial(10, rate, 4000)]) >= 0.95


def test_differences_are_paired_by_seed() -> None:
    found = paired_difference({1: 10.0, 2: 20.0, 3: 30.0}, {1: 9.0, 2: 19.1, 4: 0.0})
    assert found.estimate == pytest.approx(0.95)
    assert found.n == 2


def test_the_detectable_difference_is_found_with_the_power_it_says() -> None:
    rng = np.random.default_rng(2)
    n, sigma = 10, 1.0
    effect = sigma / math.sqrt(n) * (stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1))
    hits = [abs(stats.ttest_1samp(rng.normal(effect, sigma, n), 0.0).pvalue) < 0.05 for _ in range(2000)]
    assert np.mean(hits) == pytest.approx(0.8, abs=0.04)
    assert detectable_difference([1.0, -1.0] * 5) == pytest.approx(np.std([1, -1] * 5, ddof=1) / sigma * effect)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=7))
def test_the_expected_best_equals_the_mean_over_all_subsets(x: list[float]) -> None:
    expected = [np.mean([min(c) for c in itertools.combinations(x, n)]) for n in range(1, len(x) + 1)]
    assert expected_best(x) == pytest.approx(np.array(expected), abs=1e-8)


def test_two_tight_groups_far_apart_are_bimodal_and_one_group_is_not() -> None:
    rng = np.random.default_rng(0)
    assert is_bimodal([*rng.normal(28.8, 0.1, 6), *rng.normal(52.9, 0.01, 4)])
    assert sum(is_bimodal(list(rng.normal(0, 1, 10))) for _ in range(200)) <= 4


@given(st.dictionaries(st.integers(0, 20), st.one_of(st.none(), st.floats(-5, 5))), st.integers(1, 21))
def test_the_winner_has_the_lowest_score_of_the_first_trials(scores: dict[int, float | None], budget: int) -> None:
    known = {n: s for n, s in scores.items() if n < budget and s is not None}
    found = winner(scores, budget)
    assert (found is None) == (not known)
    if found is not None:
        assert known[found] == min(known.values())
        assert all(found <= n for n, s in known.items() if s == known[found])
