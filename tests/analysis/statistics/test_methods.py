"""Means and differences of methods against scipy, the formulas written out, and simulation."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vaestudy.analysis.statistics.intervals import mean_interval
from vaestudy.analysis.statistics.methods import (
    Scores,
    clustered_rate,
    critical_value,
    detectable,
    difference,
    differences,
    estimate,
    leaders,
)

Array = npt.NDArray[np.float64]
OURS = (27.9, 28.4, 28.1, 27.6, 28.3)
THEIRS = (28.0, 28.9, 28.0, 28.1, 28.9)


def plain(values: tuple[float, ...]) -> Scores:
    """One number a unit."""
    return {unit: np.array([value]) for unit, value in enumerate(values)}


def blocks(values: Array) -> Scores:
    """[R, G]."""
    return dict(enumerate(values))


def drawn(seed: int, units: int, size: int, example: float = 1.0) -> Array:
    generator = np.random.default_rng(seed)
    between = generator.normal(28.0, 0.3, (units, 1))
    return between + generator.normal(0.0, example, (1, size)) + generator.normal(0.0, 0.1, (units, size))


def test_without_blocks_the_mean_has_student_s_interval_at_11_fifths_of_a_degree_of_freedom() -> None:
    expected = stats.t.interval(0.95, 2.2, loc=np.mean(OURS), scale=stats.sem(OURS))
    found = estimate(plain(OURS))
    assert (found.low, found.high) == pytest.approx(expected)
    assert (found.estimate, found.n) == (pytest.approx(np.mean(OURS)), 5)


def test_without_blocks_the_difference_has_the_interval_of_the_mean_of_paired_differences() -> None:
    found = difference(plain(OURS), plain(THEIRS))
    alone = mean_interval(np.subtract(OURS, THEIRS).tolist())
    assert (found.low, found.estimate, found.high) == pytest.approx((alone.low, alone.estimate, alone.high))
    assert found.n == 5


def test_at_the_critical_value_of_many_pairs_it_is_the_interval_of_the_paired_t_test_at_their_level() -> None:
    found = difference(plain(OURS), plain(THEIRS), critical_value(5, 4))
    expected = stats.ttest_rel(OURS, THEIRS).confidence_interval(1 - 0.05 / 6)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_critical_value_never_makes_an_interval_shorter_than_that_of_a_pair_alone() -> None:
    assert difference(plain(OURS), plain(THEIRS), critical_value(5, 2)) == difference(plain(OURS), plain(THEIRS))


@pytest.mark.parametrize(("units", "size"), [(2, 2), (3, 7), (6, 100)])
def test_blocks_add_the_variance_of_the_test_examples_with_their_own_quantile(units: int, size: int) -> None:
    ours, theirs = drawn(1, units, size), drawn(2, units, size)
    gaps = ours - theirs
    mean = gaps.sum() / (units * size)
    between = sum((row.sum() / size - mean) ** 2 for row in gaps) / (units - 1) / units
    examples = sum((column.sum() / units - mean) ** 2 for column in gaps.T) / (size - 1) / size
    half = math.hypot(
        stats.t.ppf(0.975, (2 * units + 1) / 5) * math.sqrt(between), stats.t.ppf(0.975, size - 1) * math.sqrt(examples)
    )
    found = difference(blocks(ours), blocks(theirs))
    assert found.estimate == pytest.approx(mean)
    assert found.half_width == pytest.approx(half)
    assert found.n == units


def test_what_a_test_example_does_to_both_methods_is_not_in_their_difference() -> None:
    ours = drawn(3, 5, 50)
    examples = np.random.default_rng(4).normal(0.0, 100.0, 50)
    theirs = drawn(5, 5, 50)
    plain_width = difference(blocks(ours), blocks(theirs)).half_width
    assert difference(blocks(ours + examples), blocks(theirs + examples)).half_width == pytest.approx(plain_width)
    assert estimate(blocks(ours + examples)).half_width > 20


def test_a_difference_is_over_the_units_that_both_have() -> None:
    ours = {1: np.array([30.0]), 2: np.array([31.0]), 3: np.array([99.0])}
    found = difference(ours, {2: np.array([29.8]), 1: np.array([29.0]), 4: np.array([5.0])})
    assert (found.estimate, found.n) == (pytest.approx(1.1), 2)


def test_units_of_unequal_numbers_of_blocks_are_compared_by_their_means() -> None:
    ours = {0: np.array([1.0, 3.0]), 1: np.array([4.0, 6.0])}
    theirs = {0: np.array([1.0]), 1: np.array([2.0])}
    assert difference(ours, theirs) == difference(plain((2.0, 5.0)), plain((1.0, 2.0)))


@pytest.mark.parametrize("scores", [{}, {3: np.array([28.0, 29.0])}])
def test_fewer_than_two_units_have_no_interval(scores: Scores) -> None:
    for found in (estimate(scores), difference(scores, scores), estimate(scores, 2.0)):
        assert found.n == len(scores)
        assert math.isnan(found.low) and math.isnan(found.high)
    assert math.isnan(estimate(scores).estimate) is (not scores)
    assert math.isnan(detectable(scores, scores))


def test_equal_methods_without_any_spread_differ_by_nothing() -> None:
    found = difference(plain(OURS), plain(OURS))
    assert (found.low, found.estimate, found.high) == (0.0, 0.0, 0.0)
    assert detectable(plain(OURS), plain(OURS)) == 0.0


@given(st.integers(0, 1000), st.integers(2, 6), st.integers(1, 5))
def test_a_difference_changes_sign_with_its_sides(seed: int, units: int, size: int) -> None:
    ours, theirs = blocks(drawn(seed, units, size)), blocks(drawn(seed + 1, units, size))
    there, back = difference(ours, theirs), difference(theirs, ours)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


@pytest.mark.parametrize(("units", "methods", "pairs"), [(5, 2, 1), (5, 4, 6), (10, 7, 21), (2, 3, 3)])
def test_the_critical_value_shares_5_percent_among_the_pairs(units: int, methods: int, pairs: int) -> None:
    expected = stats.t.isf(0.025 / pairs, units - 1)
    assert critical_value(units, methods) == pytest.approx(expected)


def test_one_method_alone_has_student_s_critical_value() -> None:
    assert critical_value(5, 1) == critical_value(5, 2) == pytest.approx(stats.t.ppf(0.975, 4))


def test_one_unit_has_no_critical_value() -> None:
    assert math.isnan(critical_value(1, 4))


def test_without_blocks_an_interval_reaches_critical_standard_errors() -> None:
    found = difference(plain(OURS), plain(THEIRS), critical=5.0)
    assert found.half_width == pytest.approx(5.0 * stats.sem(np.subtract(OURS, THEIRS)))
    assert estimate(plain(OURS), critical=4.0).half_width == pytest.approx(4.0 * stats.sem(OURS))


def test_with_blocks_the_critical_value_keeps_its_tail_probability() -> None:
    gaps = drawn(0, 4, 30)
    found = difference(blocks(gaps), blocks(np.zeros((4, 30))), critical=6.0)
    examples = stats.t.ppf(stats.t.cdf(6.0, 3), 29) * stats.sem(gaps.mean(axis=0))
    assert found.half_width == pytest.approx(math.hypot(6.0 * stats.sem(gaps.mean(axis=1)), examples))


METHODS = {
    "adam": plain((1.0, 1.1, 0.9, 1.05, 0.95)),
    "sgd": plain((1.3, 0.9, 1.0, 1.4, 0.8)),
    "poor": plain((9.0, 9.1, 8.9, 9.05, 8.96)),
}


def test_differences_are_those_of_all_pairs_at_the_critical_value_of_all_methods() -> None:
    found = differences(METHODS)
    assert list(found) == [("adam", "sgd"), ("adam", "poor"), ("sgd", "poor")]
    for (one, other), interval in found.items():
        assert interval == difference(METHODS[one], METHODS[other], critical_value(5, 3))


def test_a_pair_with_fewer_common_units_has_their_critical_value() -> None:
    scores = METHODS | {"late": {3: np.array([2.0]), 4: np.array([2.5]), 5: np.array([2.1])}}
    found = differences(scores)["adam", "late"]
    assert found == difference(METHODS["adam"], scores["late"], critical_value(2, 4))
    assert found.n == 2


def test_leaders_are_the_best_and_those_that_cannot_be_told_apart_from_it() -> None:
    assert leaders(dict(reversed(METHODS.items()))) == ["adam", "sgd"]
    assert leaders({"poor": METHODS["poor"]}) == ["poor"]


def test_a_method_with_one_unit_neither_leads_nor_counts_among_the_pairs() -> None:
    ours, theirs = plain((1.0, 2.0, 3.0)), plain((1.5, 2.6, 3.55))  # 0.55 with a standard error of 0.029: 19 of them
    assert difference(theirs, ours, critical_value(3, 2)).low > 0
    assert leaders({"ours": ours, "theirs": theirs, "lucky": plain((-9.0,))}) == ["ours"]


def test_without_units_nobody_leads() -> None:
    assert leaders({}) == leaders({"adam": {}}) == []


def test_the_detectable_difference_has_the_power_that_the_noncentral_t_gives_it() -> None:
    gaps = np.subtract(OURS, THEIRS)
    for critical, power in ((4.0, 0.8), (4.85, 0.9)):
        shift = detectable(plain(OURS), plain(THEIRS), critical, power) / stats.sem(gaps)
        assert stats.nct.sf(critical, 4, shift) == pytest.approx(power, abs=1e-6)


def test_with_blocks_the_detectable_difference_is_that_of_the_interval_and_satterthwaite_s_freedom() -> None:
    ours, theirs = drawn(1, 4, 20), drawn(2, 4, 20)
    gaps = ours - theirs
    parts = stats.sem(gaps.mean(axis=1)) ** 2, stats.sem(gaps.mean(axis=0)) ** 2
    error, freedom = math.sqrt(sum(parts)), sum(parts) ** 2 / (parts[0] ** 2 / 3 + parts[1] ** 2 / 19)
    for critical in (None, 9.0):
        half = difference(blocks(ours), blocks(theirs), critical).half_width
        shift = detectable(blocks(ours), blocks(theirs), critical) / error
        assert stats.nct.sf(half / error, freedom, shift) == pytest.approx(0.8, abs=1e-6)


def test_the_interval_covers_the_truth_where_searches_seeds_and_test_examples_differ() -> None:
    """Five replicates, 50 blocks: replicates 0.2, examples 1.5 / sqrt(50) and 0.3 of one replicate and example."""
    generator, hits = np.random.default_rng(8), []
    for _ in range(1500):
        gaps = generator.normal(0.0, 0.2, (5, 1)) + generator.normal(0.0, 1.5, 50) + generator.normal(0, 0.3, (5, 50))
        found = difference(blocks(gaps), blocks(np.zeros((5, 50))))
        hits.append(found.low <= 0 <= found.high)
    assert 0.935 < np.mean(hits) < 0.98


# --- rates ------------------------------------------------------------------------------------------------------------


def test_a_rate_that_no_unit_shows_has_the_interval_of_as_many_runs_as_units() -> None:
    found = clustered_rate([(0, 3)] * 6)
    assert (found.estimate, found.low, found.n) == (0.0, 0.0, 18)
    assert found.high == pytest.approx(stats.binomtest(0, 6).proportion_ci(0.95, method="exact").high)


def test_units_whose_runs_end_alike_count_as_one_run_each() -> None:
    """Two of six units failed as a whole: v = 0.0444 = p (1 - p) / 5, n* = 5 (t(17) / t(5))^2."""
    found = clustered_rate([(3, 3)] * 2 + [(0, 3)] * 4)
    effective = 5 * (stats.t.ppf(0.975, 17) / stats.t.ppf(0.975, 5)) ** 2
    assert found.estimate == pytest.approx(1 / 3)
    assert found.low == pytest.approx(stats.beta.ppf(0.025, effective / 3, 2 * effective / 3 + 1))
    assert found.high == pytest.approx(stats.beta.ppf(0.975, effective / 3 + 1, 2 * effective / 3))


def test_units_that_fail_alike_in_part_count_no_more_than_all_their_runs() -> None:
    found = clustered_rate([(1, 3)] * 5 + [(2, 3)])
    exact = stats.binomtest(7, 18).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_no_runs_have_no_rate() -> None:
    assert math.isnan(clustered_rate([(0, 0)]).estimate)


@pytest.mark.parametrize("concentration", [0.5, 2.0, 50.0])
def test_a_clustered_rate_covers_the_truth(concentration: float) -> None:
    """Beta-binomial units of a rate of 0.3; Clopper and Pearson's interval of the runs covers 65 to 94 % of them."""
    rng = np.random.default_rng(5)
    rates = rng.beta(0.3 * concentration, 0.7 * concentration, (2000, 6))
    found = [clustered_rate([(int(x), 6) for x in row]) for row in rng.binomial(6, rates)]
    assert np.mean([one.low <= 0.3 <= one.high for one in found]) > 0.925
