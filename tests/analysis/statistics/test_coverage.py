"""How often each interval encloses the truth it speaks of: 95 +- 2 of 100 studies, as docs/decisions/0005 states."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import pytest
from scipy import stats

from vaestudy.analysis.statistics.aggregate import interquartile_mean, optimality_gap, probability_of_improvement
from vaestudy.analysis.statistics.budgets import expected_best_band
from vaestudy.analysis.statistics.intervals import Interval, independent_difference, mean_interval, paired_difference
from vaestudy.analysis.statistics.leaders import probability_best
from vaestudy.analysis.statistics.survival import kaplan_meier

Generator = np.random.Generator
Draw = Callable[[Generator, int], np.ndarray]

UTILITIES: dict[str, Draw] = {
    "at the target": lambda g, n: g.normal(1.0, 0.1, n),
    "below it": lambda g, n: g.normal(0.7, 0.1, n),
    "wide": lambda g, n: g.normal(0.8, 0.3, n),
    "skewed": lambda g, n: np.maximum(1.05 - g.exponential(0.2, n), 0.0),
    "lognormal": lambda g, n: g.lognormal(0.0, 0.5, n),
    "two of ten collapsed": lambda g, n: np.where(g.random(n) < 0.2, 0.0, g.normal(1.0, 0.1, n)),
}
THREE = ("at the target", "below it", "wide")
THREE_SKEWED = ("skewed", "below it", "skewed")
EIGHT = (*THREE, "skewed") * 2

LOSSES: dict[str, Draw] = {
    "normal": lambda g, n: g.normal(30.0, 1.0, n),
    "lognormal": lambda g, n: 25.0 + g.lognormal(1.0, 0.8, n),
    "four of ten collapsed": lambda g, n: np.where(
        g.random(n) < 0.4, 52.9 + 0.05 * g.normal(size=n), 28.0 + g.lognormal(0.0, 1.0, n)
    ),
}


def covered(intervals: Iterable[Interval], truth: float) -> float:
    """The share of the intervals that enclose the truth, of those that were not refused."""
    known = [found for found in intervals if not math.isnan(found.low)]
    return float(np.mean([found.low <= truth <= found.high for found in known]))


def strata(generator: Generator, kinds: Sequence[str], runs: int) -> list[list[float]]:
    return [UTILITIES[kind](generator, runs).tolist() for kind in kinds]


def coverage_of_aggregate(name: str, kinds: Sequence[str], runs: int, studies: int) -> float:
    generator = np.random.default_rng(runs)
    population = np.concatenate([UTILITIES[kind](generator, 400_000) for kind in kinds])
    truth = {"iqm": stats.trim_mean(population, 0.25), "gap": np.maximum(1 - population, 0).mean()}[name]
    aggregate = partial({"iqm": interquartile_mean, "gap": optimality_gap}[name], resamples=600)
    return covered((aggregate(strata(generator, kinds, runs)) for _ in range(studies)), float(truth))


def coverage_of_improvement(pairs: Sequence[tuple[str, str]], runs: int, studies: int) -> float:
    generator = np.random.default_rng(runs)
    ours, theirs = zip(*pairs, strict=True)
    chances = []
    for mine, other in pairs:
        x, y = UTILITIES[mine](generator, 400_000), np.sort(UTILITIES[other](generator, 400_000))
        chances.append((np.searchsorted(y, x, "left") + np.searchsorted(y, x, "right")).mean() / 2 / len(y))
    found = (
        probability_of_improvement(strata(generator, ours, runs), strata(generator, theirs, runs))
        for _ in range(studies)
    )
    return covered(found, float(np.mean(chances)))


def coverage_of_band(kind: str, trials: int, budgets: Sequence[int], studies: int) -> list[float]:
    generator = np.random.default_rng(trials)
    truths = [LOSSES[kind](generator, 40_000 * n).reshape(-1, n).min(axis=1).mean() for n in budgets]
    bands = [expected_best_band(LOSSES[kind](generator, trials).tolist(), resamples=500) for _ in range(studies)]
    ends = np.stack(bands)[:, [0, 2]][:, :, np.array(budgets) - 1]
    return ((ends[:, 0] <= truths) & (truths <= ends[:, 1])).mean(axis=0).tolist()


def three_methods(generator: Generator, trials: int) -> dict[str, np.ndarray]:
    spreads = {"a": (0.0, 1.0), "b": (0.2, 0.5), "c": (0.5, 1.5)}
    return {method: generator.normal(*spread, trials) for method, spread in spreads.items()}


def coverage_of_probability_best(trials: int, budgets: Sequence[int], studies: int) -> list[float]:
    generator = np.random.default_rng(trials)
    truths = []
    for n in budgets:
        best = {method: x.reshape(-1, n).min(axis=1) for method, x in three_methods(generator, 40_000 * n).items()}
        truths.append(np.mean(best["a"] < np.minimum(best["b"], best["c"])))
    bands = [probability_best(three_methods(generator, trials), resamples=100)["a"] for _ in range(studies)]  # type: ignore[arg-type]
    ends = np.stack(bands)[:, [0, 2]][:, :, np.array(budgets) - 1]
    return ((ends[:, 0] <= truths) & (truths <= ends[:, 1])).mean(axis=0).tolist()


def coverage_of_median(runs: int, watch: float, studies: int) -> float:
    """Exponential times with median log 2; each run is watched for a uniform time up to ``watch`` medians."""
    generator = np.random.default_rng(runs)
    found = []
    for _ in range(studies):
        times, ends = generator.exponential(1.0, runs), generator.uniform(0.5, watch, runs)
        found.append(kaplan_meier(np.minimum(times, ends).tolist(), (times <= ends).tolist()).median)
    return covered(found, math.log(2))


def coverage_of_survival(runs: int, at: float, studies: int) -> float:
    """The pointwise interval of the curve at a time, where the curve has fallen and not yet to 0."""
    generator = np.random.default_rng(runs)
    hits = []
    for _ in range(studies):
        curve = kaplan_meier(generator.exponential(1.0, runs).tolist(), [True] * runs)
        place = int(np.searchsorted(curve.times, at, "right")) - 1
        if 0 <= place < runs - 1:
            hits.append(curve.low[place] <= math.exp(-at) <= curve.high[place])
    return float(np.mean(hits))


def coverage_of_paired_difference(seeds: int, studies: int) -> float:
    generator = np.random.default_rng(seeds)
    found = []
    for _ in range(studies):
        common = generator.normal(30.0, 1.0, seeds)
        ours, theirs = common + generator.normal(0.2, 0.1, seeds), common + generator.normal(0.0, 0.3, seeds)
        found.append(paired_difference(dict(enumerate(ours.tolist())), dict(enumerate(theirs.tolist()))))
    return covered(found, 0.2)


def coverage_of_a_gain(runs: int, studies: int) -> float:
    """Of one chance to beat a rival less another: as claims compare RMSprop with and without annealing."""
    generator = np.random.default_rng(runs)

    def chance(shift: float) -> Interval:
        ours, theirs = generator.normal(shift, 1.0, runs).tolist(), generator.normal(0.0, 1.0, runs).tolist()
        return probability_of_improvement([ours], [theirs])

    found = (independent_difference(chance(1.0), chance(0.0)) for _ in range(studies))
    return covered(found, float(stats.norm.cdf(1.0 / math.sqrt(2)) - 0.5))


def coverage_of_a_difference_of_means(runs: int, studies: int) -> float:
    """Of two means of unequal spread and size."""
    generator = np.random.default_rng(runs)
    found = (
        independent_difference(
            mean_interval(generator.normal(3.0, 1.0, runs).tolist()),
            mean_interval(generator.normal(1.0, 3.0, 2 * runs).tolist()),
        )
        for _ in range(studies)
    )
    return covered(found, 2.0)


def as_stated(coverage: float) -> bool:
    """95 +- 2, and half a point for the error of some 2,000 studies."""
    return 0.925 <= coverage <= 0.975


@pytest.mark.parametrize("name", ["iqm", "gap"])
@pytest.mark.parametrize("kinds", [("below it",), THREE], ids=["one workload", "three workloads"])
def test_ten_seeds_carry_the_aggregates(name: str, kinds: Sequence[str]) -> None:
    assert as_stated(coverage_of_aggregate(name, kinds, runs=10, studies=700))


@pytest.mark.parametrize("pairs", [[("at the target", "skewed")], [("wide", "below it")] * 3])
def test_ten_seeds_carry_a_probability_of_improvement(pairs: Sequence[tuple[str, str]]) -> None:
    assert as_stated(coverage_of_improvement(pairs, runs=10, studies=700))


def test_ten_seeds_carry_a_paired_difference() -> None:
    assert 0.95 <= coverage_of_paired_difference(seeds=10, studies=2000) < 0.99


def test_ten_runs_carry_the_difference_of_two_chances() -> None:
    assert as_stated(coverage_of_a_gain(runs=10, studies=700))


@pytest.mark.parametrize("runs", [5, 10])
def test_five_and_ten_runs_carry_the_difference_of_two_independent_means(runs: int) -> None:
    assert 0.95 <= coverage_of_a_difference_of_means(runs, studies=2000) < 0.995


def test_ten_runs_carry_a_median_time() -> None:
    assert as_stated(coverage_of_median(runs=10, watch=4.0, studies=400))


@pytest.mark.slow
@pytest.mark.parametrize("runs", [10, 20])
@pytest.mark.parametrize("kinds", [("at the target",), ("skewed",), ("lognormal",), THREE, THREE_SKEWED, EIGHT])
def test_ten_and_twenty_seeds_carry_the_interquartile_mean_of_any_shape(kinds: Sequence[str], runs: int) -> None:
    assert as_stated(coverage_of_aggregate("iqm", kinds, runs, studies=2000))


@pytest.mark.slow
@pytest.mark.parametrize("runs", [10, 20])
@pytest.mark.parametrize("kinds", [("below it",), ("skewed",), THREE, THREE_SKEWED, EIGHT])
def test_ten_and_twenty_seeds_carry_the_optimality_gap_of_any_shape(kinds: Sequence[str], runs: int) -> None:
    assert as_stated(coverage_of_aggregate("gap", kinds, runs, studies=2000))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iqm", "gap"])
@pytest.mark.parametrize("kinds", [THREE, THREE_SKEWED, EIGHT])
def test_five_seeds_carry_the_aggregates_of_several_workloads(name: str, kinds: Sequence[str]) -> None:
    assert 0.93 <= coverage_of_aggregate(name, kinds, runs=5, studies=2000) < 0.98


@pytest.mark.slow
@pytest.mark.parametrize("runs", [10, 20])
def test_a_collapse_in_a_fifth_of_the_runs_seldom_leads_to_a_wrong_interquartile_mean(runs: int) -> None:
    """Two groups are refused; what is left to be wrong is less than 5 of 100 studies."""
    generator, kind = np.random.default_rng(runs), "two of ten collapsed"
    truth = stats.trim_mean(UTILITIES[kind](generator, 400_000), 0.25)
    found = [interquartile_mean(strata(generator, [kind], runs), resamples=600) for _ in range(1500)]
    wrong = [not math.isnan(f.low) and not f.low <= truth <= f.high for f in found]
    assert 0 < np.mean(wrong) < 0.05


@pytest.mark.slow
def test_a_collapse_that_no_seed_shows_is_not_in_the_optimality_gap() -> None:
    """A limit that no interval of ten values escapes: in 0.8^10 = 11 of 100 studies all seeds are well."""
    assert coverage_of_aggregate("gap", ["two of ten collapsed"], runs=10, studies=1500) < 0.93


@pytest.mark.slow
@pytest.mark.parametrize("runs", [5, 10, 20])
@pytest.mark.parametrize(
    "pairs",
    [
        [("at the target", "at the target")],
        [("wide", "below it")],
        [("at the target", "below it")],
        [("at the target", "at the target"), ("at the target", "skewed"), ("wide", "below it")],
        [("at the target", "below it")] * 3,
    ],
    ids=["equal", "unequal spread", "clear", "three", "three clear"],
)
def test_five_to_twenty_seeds_carry_a_probability_of_improvement(pairs: Sequence[tuple[str, str]], runs: int) -> None:
    assert as_stated(coverage_of_improvement(pairs, runs, studies=2000))


@pytest.mark.slow
@pytest.mark.parametrize("runs", [6, 10, 20])
@pytest.mark.parametrize("watch", [1.5, 4.0, 1e9], ids=["heavy censoring", "light censoring", "none"])
def test_six_to_twenty_runs_carry_a_median_time(runs: int, watch: float) -> None:
    assert as_stated(coverage_of_median(runs, watch, studies=1500))


@pytest.mark.slow
@pytest.mark.parametrize("at", [0.3, 0.7, 1.2])
def test_twenty_runs_carry_the_pointwise_interval_of_a_survival_curve(at: float) -> None:
    assert as_stated(coverage_of_survival(runs=20, at=at, studies=1500))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "lognormal"])
def test_fifty_trials_carry_the_expected_best_up_to_ten_trials(kind: str) -> None:
    assert all(map(as_stated, coverage_of_band(kind, 50, (1, 5, 10), studies=700)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(LOSSES))
def test_twenty_five_trials_carry_the_expected_best_up_to_twelve_at_91_or_more(kind: str) -> None:
    assert min(coverage_of_band(kind, 25, (1, 2, 3, 5, 12), studies=1000)) > 0.90


@pytest.mark.slow
@pytest.mark.parametrize(("trials", "budgets"), [(25, (1, 2, 5)), (50, (1, 5, 10))])
def test_a_fifth_of_the_trials_carries_the_chance_to_be_best(trials: int, budgets: Sequence[int]) -> None:
    assert all(map(as_stated, coverage_of_probability_best(trials, budgets, studies=500)))
