"""A few cells of docs/results/coverage: how often each interval encloses the truth it speaks of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from docs.results.coverage.cells import UTILITIES, Coverage, coverage, kinds, strata
from docs.results.coverage.run import document
from docs.results.coverage.verdicts import Share, equal_methods, power, two_groups
from vaestudy.analysis.statistics.aggregate import interquartile_mean, probability_of_improvement
from vaestudy.analysis.statistics.intervals import Interval, independent_difference
from vaestudy.analysis.statistics.survival import kaplan_meier

KINDS = {kind.name: kind for kind in kinds()}
OVER_REPLICATES = [name for name in KINDS if "over replicates" in name]
AGGREGATES = [name for name in KINDS if "workload" in name]


def covered(name: str, size: int, shape: str, studies: int) -> float:
    return coverage(KINDS[name], size, shape, studies).covered


@pytest.mark.parametrize("shape", ["normal", "skewed"])
@pytest.mark.parametrize("size", [3, 5, 10])
@pytest.mark.parametrize("name", ["mean", "paired difference"])
def test_three_to_ten_seeds_carry_means_and_differences(name: str, size: int, shape: str) -> None:
    assert 0.915 <= covered(name, size, shape, studies=2000) < 0.99


@pytest.mark.parametrize("shape", ["normal", "bimodal, 5 in 10", "skewed"])
@pytest.mark.parametrize("replicates", [5, 10])
@pytest.mark.parametrize("name", OVER_REPLICATES)
def test_five_and_ten_replicates_carry_what_is_said_of_methods(name: str, replicates: int, shape: str) -> None:
    assert 0.92 <= covered(name, replicates, shape, studies=600) < 0.995


@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_ten_values_carry_their_spread_and_six_are_refused(shape: str) -> None:
    assert covered("spread (variance)", 10, shape, studies=1000) >= 0.93
    assert coverage(KINDS["spread (variance)"], 6, shape, studies=10).stated == 0.0


@pytest.mark.parametrize("shape", ["normal", "skewed"])
@pytest.mark.parametrize("name", AGGREGATES)
def test_ten_seeds_carry_the_aggregates(name: str, shape: str) -> None:
    assert 0.915 <= covered(name, 10, shape, studies=500) <= 0.98


@pytest.mark.parametrize("watch", ["light censoring", "no censoring"])
def test_ten_runs_carry_a_median_time(watch: str) -> None:
    assert 0.925 <= covered("median time", 10, watch, studies=400) <= 0.98


@pytest.mark.parametrize("question", ["some pair is told apart", "some method does not lead"])
@pytest.mark.parametrize("shape", ["normal", "skewed", "normal, unequal spreads", "normal, test examples 0.05 nats"])
def test_four_equal_methods_are_told_apart_in_at_most_5_of_100_studies(question: str, shape: str) -> None:
    assert equal_methods(question, 4, 5, shape, studies=600).share <= 0.05 + 0.025


def test_a_mean_of_the_detectable_size_is_found_in_80_of_100_studies() -> None:
    assert power(5, "normal", studies=2000).share == pytest.approx(0.8, abs=0.027)


def test_two_groups_are_seen_among_ten_values_and_one_is_not_taken_for_two() -> None:
    assert two_groups(10, "two groups, 10 apart", studies=600).share > 0.95
    assert two_groups(10, "normal", studies=600).share < 0.02


def test_a_collapse_in_a_fifth_of_ten_runs_seldom_leads_to_a_wrong_interquartile_mean() -> None:
    """Two groups are refused; what is left to be wrong is less than 5 of 100 studies."""
    generator, kind = np.random.default_rng(10), "two of ten collapsed"
    truth = stats.trim_mean(UTILITIES[kind](generator, 400_000), 0.25)
    found = [interquartile_mean(strata(generator, [kind], 10), resamples=600) for _ in range(500)]
    wrong = [not math.isnan(f.low) and not f.low <= truth <= f.high for f in found]
    assert 0 < np.mean(wrong) < 0.07


def test_ten_runs_carry_the_difference_of_two_chances() -> None:
    """Of one chance to beat a rival less another: as claims compare RMSprop with and without annealing."""
    generator = np.random.default_rng(10)

    def chance(shift: float) -> Interval:
        ours, theirs = generator.normal(shift, 1.0, 10).tolist(), generator.normal(0.0, 1.0, 10).tolist()
        return probability_of_improvement([ours], [theirs])

    truth = stats.norm.cdf(1.0 / math.sqrt(2)) - 0.5
    found = [independent_difference(chance(1.0), chance(0.0)) for _ in range(700)]
    assert 0.925 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.975


@pytest.mark.slow
@pytest.mark.parametrize("at", [0.3, 0.7, 1.2])
def test_twenty_runs_carry_the_pointwise_interval_of_a_survival_curve(at: float) -> None:
    """Where the curve has fallen and not yet to 0."""
    generator, hits = np.random.default_rng(20), []
    for _ in range(1500):
        curve = kaplan_meier(generator.exponential(1.0, 20).tolist(), [True] * 20)
        place = int(np.searchsorted(curve.times, at, "right")) - 1
        if 0 <= place < 19:
            hits.append(curve.low[place] <= math.exp(-at) <= curve.high[place])
    assert 0.925 <= np.mean(hits) <= 0.975


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["normal", "bimodal, 4 in 10", "skewed"])
@pytest.mark.parametrize("name", [name for name in KINDS if name.startswith(("expected best", "chance to be best"))])
def test_twenty_five_trials_carry_what_a_budget_buys(name: str, shape: str) -> None:
    assert covered(name, 25, shape, studies=500) > 0.88


def test_the_page_gives_every_cell_its_place() -> None:
    cells = [
        Coverage("mean", 3, "normal", 10, 1.0, 0.952, 0.0),
        Coverage("mean", 5, "normal", 10, 0.9, 0.961, 0.0),
        Coverage("mean", 3, "bimodal", 10, 1.0, 0.74, 0.25),
        Coverage("mean", 5, "bimodal", 10, 0.0, math.nan, 0.0625),
    ]
    page = document(cells, [Share("two groups are seen", "one group", 4, "normal", 10, 0.0123)])
    assert "| Mean | 3 | 5 |\n|---|---|---|\n| normal | 95.2 | 96.1 (10) |\n| bimodal | 74.0 ≤ 75.0 | – |\n" in page
    assert "studies in which two groups are seen\n\n| One group | 4 |\n|---|---|\n| normal | 1.2 |\n" in page
