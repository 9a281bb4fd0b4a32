"""The variance split against known components, published examples and simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from vaestudy.analysis.statistics.intervals import Interval
from vaestudy.analysis.statistics.variance import (
    LEAST_VALUES,
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
    found = variance_split([1.0, 3.0, 5.0, 7.0], [], [], [], [4.0] * LEAST_VALUES)
    assert found["hyperparameters"].variance.estimate == 0.0
    assert (found["seeds"].share, found["hyperparameters"].share) == (1.0, 0.0)


def test_a_source_that_was_not_varied_alone_is_unknown() -> None:
    found = variance_split([1.0, 2.0, 4.0], [], [3.0], [1.0, 2.0], [1.0, 9.0, 5.0])
    assert math.isnan(found["initialisation"].variance.estimate) and math.isnan(found["initialisation"].share)
    assert [found[source].variance.n for source in ("initialisation", "order", "noise")] == [0, 1, 2]
    assert math.isnan(found["order"].variance.estimate) and found["noise"].variance.estimate == 0.5
    assert math.isnan(found["noise"].variance.high)


def test_without_repeated_seeds_the_hyperparameters_have_a_variance_and_no_share() -> None:
    found = variance_split([], [], [], [], np.arange(20.0).tolist())
    assert found["hyperparameters"].variance.estimate == pytest.approx(35.0)
    assert math.isnan(found["hyperparameters"].share)


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="got inf"):
        variance_split([1.0, 2.0], [], [], [], [1.0, math.inf])


def _bonett(values: list[float]) -> tuple[float, float]:
    """Equation 3 of Bonett 2006 written out at 99 %."""
    n, z = len(values), 2.5758293035489004
    mean = sum(values) / n
    cut = int(n / (2 * math.sqrt(n - 4)))
    kept = sorted(values)[cut : n - cut]
    centre = sum(kept) / len(kept)
    squares = sum((value - mean) ** 2 for value in values)
    kurtosis = n * sum((value - centre) ** 4 for value in values) / squares**2
    middle = math.log(n / (n - z) * squares / (n - 1))
    reach = z * n / (n - z) * math.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    return math.exp(middle - reach), math.exp(middle + reach)


@pytest.mark.parametrize("count", [10, 13, 40])
@pytest.mark.parametrize("draw", [np.random.Generator.normal, np.random.Generator.exponential])
def test_the_interval_of_a_variance_is_bonett_s_at_99_percent(draw: Callable[..., object], count: int) -> None:
    values = np.asarray(draw(np.random.default_rng(count), size=count)).tolist()
    found = variance_interval(values)
    assert found.estimate == pytest.approx(np.var(values, ddof=1))
    assert (found.low, found.high) == pytest.approx(_bonett(values))
    assert found.n == count


def test_few_values_have_a_variance_without_an_interval() -> None:
    few, enough = (variance_interval(np.arange(float(count)).tolist()) for count in (LEAST_VALUES - 1, LEAST_VALUES))
    assert few.estimate == 7.5 and math.isnan(few.low) and math.isnan(few.high)
    assert 0 < enough.low < enough.estimate < enough.high < math.inf


def test_two_values_have_a_variance_and_one_has_none() -> None:
    assert variance_interval([1.0, 2.0]).estimate == 0.5
    assert math.isnan(variance_interval([1.0]).estimate)


def test_equal_values_have_no_variance_and_no_interval() -> None:
    found = variance_interval([28.0] * 10)
    assert found.estimate == 0.0 and math.isnan(found.high)


def test_the_interval_of_a_variance_scales_with_its_values() -> None:
    values = np.random.default_rng(3).exponential(size=30)
    one, ten = variance_interval(values.tolist()), variance_interval((10 * values - 7).tolist())
    assert (ten.low, ten.high) == pytest.approx((100 * one.low, 100 * one.high))


def test_the_interval_of_a_variance_has_the_asymptotic_length_for_normal_values() -> None:
    """For large n the logarithm of a normal sample's variance has variance 2 / (n - 1)."""
    found = variance_interval(np.random.default_rng(4).normal(size=200_000).tolist())
    assert math.log(found.high / found.low) == pytest.approx(2 * 2.5758 * math.sqrt(2 / 199_999), rel=0.01)


DRAWS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, count: rng.normal(28.0, 0.3, count), 0.09),
    "t with 6 degrees of freedom": (lambda rng, count: rng.standard_t(6, count), 1.5),
    "exponential": (lambda rng, count: rng.exponential(size=count), 1.0),
    "two groups": (lambda rng, count: rng.normal(10.0 * (rng.random(count) < 0.5), 1.0), 26.0),
}


@pytest.mark.parametrize("shape", DRAWS)
@pytest.mark.parametrize("count", [10, 20])
def test_the_interval_of_a_variance_covers_it_in_93_of_100_samples_or_more_of_any_shape(shape: str, count: int) -> None:
    draw, variance = DRAWS[shape]
    rng = np.random.default_rng(7)
    samples = [draw(rng, count).tolist() for _ in range(1_000)]
    assert _coverage([variance_interval(sample) for sample in samples], variance) > 0.925


@pytest.mark.parametrize("trials", [LEAST_VALUES, 50])
def test_the_interval_of_the_hyperparameters_covers_the_truth_in_95_of_100_studies_or_more(trials: int) -> None:
    rng = np.random.default_rng(8)
    splits = [variance_split(_normal(rng, 1.0, 10), [], [], [], _normal(rng, 2.0, trials)) for _ in range(1_000)]
    assert _coverage([split["hyperparameters"].variance for split in splits], 4.0) > 0.95
