"""Aggregates against scipy, brute force and published values."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vaestudy.analysis.statistics.aggregate import (
    interquartile_mean,
    normalised_score,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)

FEW = 50  # resamples, where only the estimate matters
RUNS = st.lists(st.floats(0, 3), min_size=1, max_size=11)
STRATA = st.lists(RUNS, min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [(52.85, 0.0), (28.0, 1.0), (40.425, 0.5), (26.0, 1.0805), (60.0, 0.0), (math.inf, 0.0), (math.nan, 0.0)],
)
def test_a_loss_scores_0_at_the_trivial_model_or_worse_and_1_at_the_target(loss: float, expected: float) -> None:
    assert normalised_score(loss, trivial=52.85, target=28.0) == pytest.approx(expected, abs=1e-4)


def test_a_target_worse_than_the_trivial_model_is_no_target() -> None:
    with pytest.raises(ValueError, match=r"below the trivial loss: target 73\.5, trivial loss 52\.85"):
        normalised_score(30.0, trivial=52.85, target=73.5)


@given(STRATA)
def test_the_interquartile_mean_cuts_a_quarter_of_the_mass_at_each_end(strata: list[list[float]]) -> None:
    fourfold = np.repeat(np.concatenate(strata), 4)  # then a quarter is a whole number
    assert interquartile_mean(strata, resamples=FEW).estimate == pytest.approx(stats.trim_mean(fourfold, 0.25))


@given(STRATA, st.floats(0.5, 2))
def test_the_optimality_gap_is_the_mean_shortfall(strata: list[list[float]], threshold: float) -> None:
    runs = np.concatenate(strata)
    expected = threshold - np.minimum(runs, threshold).mean()
    assert optimality_gap(strata, threshold, resamples=FEW).estimate == pytest.approx(expected)


@pytest.mark.parametrize("aggregate", [interquartile_mean, optimality_gap])
def test_the_strata_are_resampled_within_themselves(aggregate) -> None:
    """Runs that differ between workloads only leave nothing to be uncertain about."""
    generator = np.random.default_rng(0)
    apart = [(generator.normal(place, 1e-3, size=10)).tolist() for place in (0.2, 0.4, 0.5, 0.6)]
    found = aggregate(apart, resamples=1000)
    assert 0 < found.half_width < 2e-3


@pytest.mark.parametrize("aggregate", [interquartile_mean, optimality_gap])
@pytest.mark.parametrize("strata", [[[0.5, 0.6, 0.7, 0.8, 0.9]], [[0.5, 0.6, 0.7, 0.8]] * 3, [[1.2] * 10]])
def test_too_few_runs_or_none_that_differ_carry_no_interval(aggregate, strata) -> None:
    found = aggregate(strata, resamples=FEW)
    assert math.isfinite(found.estimate)
    assert math.isnan(found.low) and math.isnan(found.high)


def test_the_quarter_cut_between_two_groups_carries_no_interval() -> None:
    six_and_four = [0.97, 0.98, 1.0, 1.01, 1.02, 1.03, 0.0, 0.0, 0.01, 0.0]
    assert math.isnan(interquartile_mean([six_and_four], resamples=FEW).low)
    assert not math.isnan(optimality_gap([six_and_four], resamples=FEW).low)


@pytest.mark.parametrize("aggregate", [interquartile_mean, optimality_gap])
@pytest.mark.parametrize("strata", [[], [[]], [[1.0, 2.0], []]])
def test_a_workload_without_runs_leaves_the_aggregate_unknown(aggregate, strata) -> None:
    assert math.isnan(aggregate(strata).estimate)


def test_the_same_seed_gives_the_same_interval() -> None:
    runs = [np.random.default_rng(0).normal(1, 0.1, 10).tolist()]
    assert interquartile_mean(runs, seed=4) == interquartile_mean(runs, seed=4)
    assert interquartile_mean(runs, seed=4) != interquartile_mean(runs, seed=5)


def test_ten_methods_with_ten_seeds_take_under_a_second() -> None:
    runs = np.random.default_rng(0).normal(1, 0.1, size=(10, 3, 10)).tolist()
    started = time.process_time()
    for strata in runs:
        interquartile_mean(strata)
    assert time.process_time() - started < 1


@given(STRATA)
def test_the_probability_of_improvement_is_the_share_of_pairs_won(ours: list[list[float]]) -> None:
    theirs = [[round(score, 1) for score in runs[::-1]] for runs in ours]
    shares = [
        np.mean([1.0 if x > y else 0.5 if x == y else 0.0 for x in mine for y in others])
        for mine, others in zip(ours, theirs, strict=True)
    ]
    assert probability_of_improvement(ours, theirs).estimate == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_the_probability_of_improvement_is_mann_whitney_s_u_of_one_workload(shift: float) -> None:
    ours, theirs = np.random.default_rng(0).normal([[shift], [0.0]], 0.2, size=(2, 10)).tolist()
    u = stats.mannwhitneyu(ours, theirs).statistic
    assert probability_of_improvement([ours], [theirs]).estimate == pytest.approx(u / 100)


def test_the_ends_lie_1_96_of_their_own_standard_errors_from_the_observed_chance() -> None:
    """Hanley and McNeil's variance, from P(two of ours beat one of theirs) under exponential scores (1982)."""
    ours, theirs = [7.5, *range(9, 18)], [*range(8), 8.5, 9.5]
    found = probability_of_improvement([ours], [theirs])
    assert found.estimate == 0.97
    for end in (found.low, found.high):
        two_of_ours, two_of_theirs = end / (2 - end), 2 * end**2 / (1 + end)
        variance = (end * (1 - end) + 9 * (two_of_ours - end**2) + 9 * (two_of_theirs - end**2)) / 100
        assert abs(found.estimate - end) == pytest.approx(1.959964 * math.sqrt(variance))


def test_a_probability_of_improvement_is_one_minus_that_of_the_others() -> None:
    ours, theirs = np.random.default_rng(1).normal(1, 0.1, size=(2, 3, 10)).tolist()
    there, back = probability_of_improvement(ours, theirs), probability_of_improvement(theirs, ours)
    assert (back.estimate, back.low, back.high) == pytest.approx((1 - there.estimate, 1 - there.high, 1 - there.low))


def test_ten_wins_of_ten_are_no_certainty() -> None:
    found = probability_of_improvement([list(range(10, 20))], [list(range(10))])
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.80, abs=0.005)


@pytest.mark.parametrize(("runs", "known"), [(4, False), (5, True)])
def test_fewer_than_five_runs_carry_no_interval_of_an_improvement(runs: int, known: bool) -> None:
    found = probability_of_improvement([[0.1 * i for i in range(runs)]], [[0.15] * runs])
    assert math.isnan(found.low) is not known
    assert found.n == 2 * runs


def test_no_runs_improve_nothing() -> None:
    assert math.isnan(probability_of_improvement([[]], [[1.0]]).estimate)


TIMES = {"adam": [10.0, 30.0, math.inf, math.inf], "sgd": [20.0, 10.0, 50.0, math.inf]}


def test_a_profile_steps_up_where_a_workload_comes_within_the_ratio() -> None:
    profiles = performance_profile(TIMES)
    assert (profiles["adam"].ratios, profiles["adam"].shares) == ((1.0, 3.0), (0.25, 0.5))
    assert (profiles["sgd"].ratios, profiles["sgd"].shares) == ((1.0, 2.0), (0.5, 0.75))


@given(st.lists(st.tuples(*[st.one_of(st.just(math.inf), st.floats(1, 9))] * 3), min_size=1, max_size=6))
def test_the_area_is_the_integral_of_the_share_within_the_ratio(rows: list[tuple[float, ...]]) -> None:
    columns = {name: list(column) for name, column in zip("abc", zip(*rows, strict=True), strict=True)}
    for name, profile in performance_profile(columns).items():
        within = [
            max(0.0, 4 - mine / min(row)) for mine, row in zip(columns[name], rows, strict=True) if mine < math.inf
        ]  # each workload counts from its ratio on
        assert profile.area == pytest.approx(sum(within) / (3 * len(rows)))


def test_the_fastest_on_every_workload_has_all_the_area_and_a_method_that_always_missed_none() -> None:
    profiles = performance_profile({"fast": [1.0, 2.0], "missed": [math.inf, math.inf]})
    assert (profiles["fast"].area, profiles["missed"].area) == (1.0, 0.0)
