"""Statistics against closed forms, independent implementations, and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vaestudy.analysis.statistics.budgets import expected_best
from vaestudy.analysis.statistics.intervals import (
    Interval,
    detectable,
    detectable_difference,
    independent_difference,
    is_bimodal,
    mean_interval,
    paired_difference,
    rate_difference,
    rate_interval,
)
from vaestudy.analysis.winners import winner

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12)


@pytest.mark.parametrize(
    ("values", "freedom"),
    [([27.7, 27.9], 1.0), ([27.7, 27.9, 28.0], 1.4), ([27.7, 27.9, 28.0, 27.6, 27.8], 2.2), ([*range(20)], 8.2)],
)
def test_the_interval_of_a_mean_is_student_s_at_two_fifths_of_the_degrees_of_freedom(
    values: list[float], freedom: float
) -> None:
    expected = stats.t.interval(0.95, freedom, loc=np.mean(values), scale=stats.sem(values))
    found = mean_interval(values)
    assert (found.low, found.high) == pytest.approx(expected)
    assert (found.estimate, found.n) == (pytest.approx(np.mean(values)), len(values))
    assert found.half_width == pytest.approx((expected[1] - expected[0]) / 2)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_fewer_than_two_values_have_no_interval(values: list[float]) -> None:
    found = mean_interval(values)
    assert found.n == len(values)
    assert math.isnan(found.low) and math.isnan(found.high)


@given(VALUES, st.floats(-100, 100))
def test_the_interval_moves_with_its_values(values: list[float], shift: float) -> None:
    here, there = mean_interval(values), mean_interval([value + shift for value in values])
    assert there.estimate == pytest.approx(here.estimate + shift, abs=1e-6)
    assert there.half_width == pytest.approx(here.half_width, abs=1e-6)


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [
        (4, 10, 0.1216, 0.7376),
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (5, 100, 0.0164, 0.1128),
    ],
)
def test_rates_have_the_published_clopper_pearson_intervals(count: int, n: int, low: float, high: float) -> None:
    found = rate_interval(count, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert found.count == count


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_rate_is_made_of_beta_quantiles(case: tuple[int, int]) -> None:
    count, n = case
    found = rate_interval(count, n)
    assert found.low == pytest.approx(stats.beta.ppf(0.025, count, n - count + 1) if count else 0.0)
    assert found.high == pytest.approx(stats.beta.ppf(0.975, count + 1, n - count) if count < n else 1.0)


@pytest.mark.parametrize("rate", [0.05, 0.4])
def test_the_interval_of_a_rate_covers_the_truth_at_least_as_often_as_it_says(rate: float) -> None:
    intervals = [rate_interval(count, 10) for count in range(11)]
    chances = stats.binom.pmf(range(11), 10, rate)
    assert sum(p for p, i in zip(chances, intervals, strict=True) if i.low <= rate <= i.high) >= 0.95


def test_the_rate_of_nothing_is_unknown() -> None:
    assert math.isnan(rate_interval(0, 0).estimate)
    assert rate_interval(0, 0).count == 0


def test_a_difference_is_paired_by_seed_over_the_seeds_that_both_have() -> None:
    found = paired_difference({1: 30.0, 2: 31.0, 3: 99.0}, {1: 29.0, 2: 29.8, 4: 5.0})
    assert found.n == 2
    assert found.estimate == pytest.approx(1.1)


@given(st.dictionaries(st.integers(1, 9), st.floats(-50, 50), min_size=2))
def test_a_difference_changes_sign_with_its_sides(ours: dict[int, float]) -> None:
    theirs = {seed: value / 2 + seed for seed, value in ours.items()}
    there, back = paired_difference(ours, theirs), paired_difference(theirs, ours)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-9)


def test_what_seeds_share_does_not_blur_their_difference() -> None:
    common = np.random.default_rng(1).normal(0, 5, size=6)
    ours = {seed: float(value) for seed, value in enumerate(common)}
    theirs = {seed: float(value) - 1 + 0.01 * seed for seed, value in enumerate(common)}
    assert paired_difference(ours, theirs).half_width < 0.05


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("power", [0.8, 0.5])
def test_a_true_difference_of_the_detectable_size_exceeds_the_interval_with_the_stated_power(
    seeds: int, power: float
) -> None:
    generator = np.random.default_rng(seeds)
    ours, theirs = (dict(enumerate(generator.normal(size=seeds).tolist())) for _ in range(2))
    differences = [ours[seed] - theirs[seed] for seed in range(seeds)]
    shift = detectable_difference(ours, theirs, power) / stats.sem(differences)
    critical = stats.t.ppf(0.975, (2 * seeds + 1) / 5)
    assert stats.nct.sf(critical, seeds - 1, shift) == pytest.approx(power, abs=1e-5)
    assert detectable(mean_interval(differences), power) == pytest.approx(shift * stats.sem(differences))


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_a_true_difference_of_the_detectable_size_is_found_in_80_of_100_studies(seeds: int) -> None:
    values = stats.norm.ppf((np.arange(seeds) + 0.5) / seeds)
    size = detectable(mean_interval((values / np.std(values, ddof=1)).tolist()))
    samples = np.random.default_rng(3).normal(size, 1.0, size=(3000, seeds))
    found = [mean_interval(row).low > 0 for row in samples.tolist()]
    assert np.mean(found) == pytest.approx(0.8, abs=0.022)  # three standard errors


def test_one_seed_detects_nothing() -> None:
    assert math.isnan(detectable_difference({1: 3.0}, {1: 2.0}))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=7))
def test_the_expected_best_is_the_mean_minimum_over_all_subsets(values: list[float]) -> None:
    expected = [
        np.mean([min(subset) for subset in itertools.combinations(values, n)]) for n in range(1, len(values) + 1)
    ]
    assert expected_best(values) == pytest.approx(np.array(expected), abs=1e-9)


def test_the_expected_best_of_a_hundred_trials_is_finite_and_falls() -> None:
    best = expected_best(np.random.default_rng(0).lognormal(3, 1, size=100).tolist())
    assert np.isfinite(best).all()
    assert (np.diff(best) < 0).all()


def test_no_trials_have_no_best() -> None:
    assert len(expected_best([])) == 0


def test_the_expected_best_of_equal_losses_is_that_loss_to_the_last_digit() -> None:
    assert set(expected_best([206.8] * 100)) == {206.8}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([28.8, 28.7, 28.9, 28.8, 28.8, 28.75, 52.9, 52.9, 52.9, 52.9], True),
        ([52.93, 52.92, 52.93, 52.94], False),
        ([27.8, 27.9, 28.0, 28.1, 28.2, 28.3], False),
        ([27.8, 27.9, 27.85, 27.8, 52.9], False),  # one outlier is no group
    ],
)
def test_two_groups_are_seen_where_there_are_two(values: list[float], expected: bool) -> None:
    assert is_bimodal(values) is expected


def test_a_gap_is_judged_by_the_spread_within_the_groups_that_it_makes() -> None:
    """Two pairs, 1 apart each: the deviation within is sqrt((0.5 + 0.5) / 2)."""
    limit = (1.5 + 14.8 / 4**0.75 + 150 / 16) * math.sqrt(0.5)
    assert is_bimodal([1.0, 2.0, 2.001 + limit, 3.001 + limit])
    assert not is_bimodal([1.0, 2.0, 1.999 + limit, 2.999 + limit])


def test_groups_of_two_and_eight_have_the_spread_of_all_ten_about_their_own_means() -> None:
    few, many = [0.0, 1.0], np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])
    within = math.sqrt((np.var(few) * 2 + many.var() * 8) / 8)
    limit = (1.5 + 14.8 / 10**0.75 + 150 / 1024) * within
    for low, high in ((few, many), (many, few)):
        assert is_bimodal([*low, *(np.array(high) + max(low) + limit * 1.0001)])
        assert not is_bimodal([*low, *(np.array(high) + max(low) + limit * 0.9999)])


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 9.0], [1.0, 1.0, 9.0], [5.0] * 8, [5.0, 5.0, 5.0, 5.0 + 1e-12]])
def test_few_values_or_equal_ones_are_no_two_groups(values: list[float]) -> None:
    assert not is_bimodal(values)


def test_two_pairs_without_any_spread_are_two_groups() -> None:
    assert is_bimodal([52.9, 28.1, 28.1, 52.9])


@pytest.mark.parametrize("n", [4, 5, 6, 8, 10, 20])
def test_one_group_hardly_ever_looks_like_two(n: int) -> None:
    samples = np.random.default_rng(5).normal(size=(3000, n)).tolist()
    assert np.mean([is_bimodal(sample) for sample in samples]) <= 0.015


@pytest.mark.parametrize("n", [6, 10, 20])
def test_one_skewed_group_seldom_looks_like_two(n: int) -> None:
    samples = np.random.default_rng(6).exponential(size=(2000, n)).tolist()
    assert np.mean([is_bimodal(sample) for sample in samples]) <= 0.06


@pytest.mark.parametrize(("n", "power"), [(6, 0.58), (8, 0.88), (10, 0.95), (20, 0.99)])
def test_two_groups_ten_deviations_apart_are_seen_the_surer_the_more_seeds(n: int, power: float) -> None:
    generator = np.random.default_rng(n)
    far = [10.0 * (np.arange(n) < count) for count in np.clip(generator.binomial(n, 0.4, 1000), 2, n - 2)]
    assert np.mean([is_bimodal((centre + generator.normal(size=n)).tolist()) for centre in far]) > power


@given(st.dictionaries(st.integers(0, 20), st.one_of(st.none(), st.floats(-5, 5))), st.integers(1, 21))
def test_the_winner_has_the_lowest_score_of_the_first_trials(scores: dict[int, float | None], budget: int) -> None:
    known = {number: score for number, score in scores.items() if number < budget and score is not None}
    found = winner(scores, budget)
    assert (found is None) == (not known)
    if found is not None:
        assert known[found] == min(known.values())
        assert all(found <= number for number, score in known.items() if score == known[found])


@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_the_difference_of_two_rates_has_the_interval_of_newcombes_table_2(
    ours: tuple[int, int], theirs: tuple[int, int], low: float, high: float
) -> None:
    found = rate_difference(*ours, *theirs)
    assert found.estimate == pytest.approx(ours[0] / ours[1] - theirs[0] / theirs[1])
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("n", "m"), [(10, 10), (20, 10), (16, 16)])
def test_the_difference_of_two_rates_is_covered_in_95_of_100_studies(n: int, m: int) -> None:
    """Exact: the chance of every pair of counts under every pair of rates; on average over rates, and at the worst."""
    counts, others, rates = np.arange(n + 1), np.arange(m + 1), (np.arange(20) + 0.5) / 20
    found = [[rate_difference(k, n, j, m) for j in others.tolist()] for k in counts.tolist()]
    low, high = (np.array([[getattr(one, end) for one in row] for row in found]) for end in ("low", "high"))

    def covered(p: float, q: float) -> float:
        inside = (low <= p - q + 1e-12) & (p - q <= high + 1e-12)
        return float(stats.binom.pmf(counts, n, p) @ inside @ stats.binom.pmf(others, m, q))

    coverage = [covered(p, q) for p in rates for q in rates]
    assert np.mean(coverage) == pytest.approx(0.954, abs=0.001)
    assert min(coverage) > 0.875


@pytest.mark.parametrize("counts", [(0, 0, 1, 2), (1, 2, 0, 0)])
def test_the_difference_to_a_rate_of_nothing_is_unknown(counts: tuple[int, int, int, int]) -> None:
    found = rate_difference(*counts)
    assert math.isnan(found.estimate) and math.isnan(found.low) and found.n == 2


def test_the_difference_of_estimates_adds_the_squares_of_the_ends_that_face_it() -> None:
    found = independent_difference(Interval(5.0, 2.0, 9.0, 10), Interval(1.0, 0.0, 5.0, 7))
    assert found == Interval(4.0, 4.0 - math.hypot(3, 4), 4.0 + math.hypot(4, 1), 17)


def test_the_difference_to_an_unknown_interval_is_unknown() -> None:
    found = independent_difference(Interval(5.0, 2.0, 9.0, 10), Interval(1.0, math.nan, math.nan, 1))
    assert found.estimate == 4.0 and math.isnan(found.low) and math.isnan(found.high)
