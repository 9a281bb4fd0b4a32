"""The variance split against known components, published examples and simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from vaestudy.analysis.statistics.intervals import Interval
from vaestudy.analysis.statistics.variance import (
    LEAST_TRIALS,
    robust_variance_interval,
    variance_interval,
    variance_split,
)

Draw = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]
SPREADS = {"init": 0.3, "order": 0.2, "noise": 0.1}
HYPERPARAMETERS = 2.0


def _coverage(intervals: list[Interval], truth: float) -> float:
    return float(np.mean([found.low <= truth <= found.high for found in intervals]))


def _normal(rng: np.random.Generator, spread: float, count: int) -> list[float]:
    return rng.normal(28.0, spread, count).tolist()


def test_known_components_are_found_again() -> None:
    rng = np.random.default_rng(1)
    every_seed = math.hypot(*SPREADS.values())
    found = variance_split(
        baseline=_normal(rng, every_seed, 4000),
        only_init=_normal(rng, SPREADS["init"], 4000),
        only_order=_normal(rng, SPREADS["order"], 4000),
        only_noise=_normal(rng, SPREADS["noise"], 4000),
        trials=_normal(rng, HYPERPARAMETERS, 4000),
    )
    expected = {"initialisation": 0.09, "order": 0.04, "noise": 0.01, "seeds": 0.14, "hyperparameters": 4.0}
    assert {source: component.variance.estimate for source, component in found.items()} == pytest.approx(
        expected, rel=0.08
    )
    shares = {source: component.share for source, component in found.items()}
    assert shares == pytest.approx({source: value / 4.14 for source, value in expected.items()}, rel=0.08)


def test_seeds_and_hyperparameters_make_up_the_whole() -> None:
    rng = np.random.default_rng(2)
    found = variance_split(_normal(rng, 1.0, 10), [], [], [], _normal(rng, 5.0, 30))
    assert found["seeds"].share + found["hyperparameters"].share == pytest.approx(1.0)


def test_the_variance_of_the_hyperparameters_is_that_of_the_trials_under_their_one_seed() -> None:
    """Were the seeds' variance of 4 taken off the trials' variance of 2.5, nothing would be left of it."""
    found = variance_split([26.0, 28.0, 30.0], [], [], [], [26.0, 27.0, 28.0, 29.0, 30.0])
    assert (found["seeds"].variance.estimate, found["hyperparameters"].variance.estimate) == pytest.approx((4.0, 2.5))
    assert (found["seeds"].share, found["hyperparameters"].share) == pytest.approx((4 / 6.5, 2.5 / 6.5))


def test_hyperparameters_that_do_nothing_have_no_variance() -> None:
    found = variance_split([1.0, 3.0, 5.0, 7.0], [], [], [], [4.0] * LEAST_TRIALS)
    assert found["hyperparameters"].variance.estimate == 0.0
    assert (found["seeds"].share, found["hyperparameters"].share) == (1.0, 0.0)


def test_a_source_that_was_not_varied_alone_is_unknown() -> None:
    found = variance_split([1.0, 2.0, 4.0], [], [3.0], [1.0, 2.0], [1.0, 9.0, 5.0])
    assert math.isnan(found["initialisation"].variance.estimate) and math.isnan(found["initialisation"].share)
    assert [found[source].variance.n for source in ("initialisation", "order", "noise")] == [0, 1, 2]
    assert math.isnan(found["order"].variance.high)
    assert math.isfinite(found["noise"].variance.high)


def test_without_repeated_seeds_the_hyperparameters_have_a_variance_and_no_share() -> None:
    found = variance_split([], [], [], [], np.arange(20.0).tolist())
    assert found["hyperparameters"].variance.estimate == pytest.approx(35.0)
    assert math.isnan(found["hyperparameters"].share)


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="got inf"):
        variance_split([1.0, 2.0], [], [], [], [1.0, math.inf])


def test_the_interval_of_a_variance_inverts_the_chi_squared_test() -> None:
    values = [27.7, 27.9, 28.0, 27.6, 27.8, 28.3]
    found = variance_interval(values)
    assert found.estimate == pytest.approx(np.var(values, ddof=1))
    for end, tail in ((found.low, 0.975), (found.high, 0.025)):
        assert stats.chi2.cdf(5 * found.estimate / end, 5) == pytest.approx(tail)


def test_few_trials_have_a_variance_without_an_interval() -> None:
    found = robust_variance_interval(np.arange(LEAST_TRIALS - 1.0).tolist())
    assert math.isfinite(found.estimate) and math.isnan(found.low) and math.isnan(found.high)


def test_equal_trials_have_no_variance_and_no_interval() -> None:
    found = robust_variance_interval([28.0] * 10)
    assert found.estimate == 0.0 and math.isnan(found.high)


def test_the_robust_interval_scales_with_its_values() -> None:
    values = np.random.default_rng(3).exponential(size=30)
    one, ten = robust_variance_interval(values.tolist()), robust_variance_interval((10 * values - 7).tolist())
    assert (ten.low, ten.high) == pytest.approx((100 * one.low, 100 * one.high))


def test_the_robust_interval_has_the_asymptotic_length_for_normal_values() -> None:
    """For large n the logarithm of a normal sample's variance has variance 2 / (n - 1)."""
    found = robust_variance_interval(np.random.default_rng(4).normal(size=200_000).tolist())
    assert math.log(found.high / found.low) == pytest.approx(2 * 1.96 * math.sqrt(2 / 199_999), rel=0.01)


@pytest.mark.parametrize("count", [2, 5, 10, 20])
def test_the_interval_of_a_variance_covers_the_truth_in_95_of_100_normal_samples(count: int) -> None:
    samples = np.random.default_rng(5).normal(28.0, 0.3, size=(2_000, count))
    assert _coverage([variance_interval(sample) for sample in samples.tolist()], 0.09) == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("count", [LEAST_TRIALS, 20, 50, 100])
def test_the_robust_interval_covers_the_truth_in_95_of_100_normal_samples(count: int) -> None:
    samples = np.random.default_rng(6).normal(28.0, 0.3, size=(4_000, count))
    covered = _coverage([robust_variance_interval(sample) for sample in samples.tolist()], 0.09)
    assert covered == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("draw", "variance"),
    [
        (lambda rng, count: rng.standard_t(6, count), 1.5),
        (lambda rng, count: rng.exponential(size=count), 1.0),
    ],
    ids=["t with 6 degrees of freedom", "exponential"],
)
def test_heavy_tails_hurt_the_robust_interval_less_than_the_chi_squared(draw: Draw, variance: float) -> None:
    rng = np.random.default_rng(7)
    samples = [draw(rng, 50).tolist() for _ in range(1_000)]
    robust = _coverage([robust_variance_interval(sample) for sample in samples], variance)
    assert robust > 0.88
    assert robust > _coverage([variance_interval(sample) for sample in samples], variance) + 0.05


@pytest.mark.parametrize("trials", [LEAST_TRIALS, 50])
def test_the_interval_of_the_hyperparameters_covers_the_truth_in_95_of_100_studies(trials: int) -> None:
    rng = np.random.default_rng(8)
    splits = [variance_split(_normal(rng, 1.0, 10), [], [], [], _normal(rng, 2.0, trials)) for _ in range(1_000)]
    covered = _coverage([split["hyperparameters"].variance for split in splits], 4.0)
    assert covered == pytest.approx(0.95, abs=0.02)
