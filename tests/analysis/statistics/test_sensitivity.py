"""The width of the good learning-rate region against valleys whose width is known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from vaestudy.analysis.statistics.sensitivity import good_region

LOW, HIGH = 1e-5, 1.0
Array = npt.NDArray[np.float64]


def _log_uniform(rng: np.random.Generator, count: int) -> Array:
    return np.asarray(10.0 ** rng.uniform(-5.0, 0.0, count))


def _search(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """A valley around lr = 10^-2.5, another setting that matters, noise, and divergence above lr = 10^-0.5."""
    lrs = _log_uniform(rng, count)
    valley = 3.0 * (np.log10(lrs) + 2.5) ** 2 + 4.0 * rng.random(count) ** 2 + rng.exponential(0.1, count)
    return lrs, np.where(lrs > 10.0**-0.5, np.nan, valley)


def test_four_of_ten_good_trials_make_two_of_five_decades() -> None:
    lrs = np.logspace(-5, 0, 10)
    losses = [90.0, 60.0, 40.0, 28.9, 28.0, 28.5, 29.0, 52.0, math.nan, math.inf]
    found = good_region(lrs.tolist(), losses, 1.0, LOW, HIGH)
    expected = stats.binomtest(4, 10).proportion_ci(0.95, method="exact")
    assert found.best_lr == lrs[4]
    assert (found.share.count, found.share.n) == (4, 10)
    assert found.decades.estimate == pytest.approx(2.0)
    assert (found.decades.low, found.decades.high) == pytest.approx((5 * expected.low, 5 * expected.high))


@pytest.mark.parametrize(("share_of_other_settings", "width"), [(1.0, 1.0), (0.5, 0.5)])
def test_the_width_is_the_integral_of_how_likely_a_good_trial_is(share_of_other_settings: float, width: float) -> None:
    rng = np.random.default_rng(3)
    lrs = _log_uniform(rng, 20_000)
    good = (lrs > 1e-3) & (lrs < 1e-2) & (rng.random(20_000) < share_of_other_settings)
    found = good_region(lrs.tolist(), np.where(good, 28.0, 35.0).tolist(), 1.0, LOW, HIGH)
    assert found.decades.estimate == pytest.approx(width, abs=0.05)
    assert 1e-3 < found.best_lr < 1e-2


def test_a_tolerance_of_nothing_leaves_the_best_trial_alone() -> None:
    found = good_region([1e-4, 1e-3, 1e-2], [3.0, 1.0, 2.0], 0.0, LOW, HIGH)
    assert (found.best_lr, found.share.count) == (1e-3, 1)


def test_the_width_grows_with_the_tolerance_up_to_the_range_that_trains() -> None:
    lrs, losses = _search(np.random.default_rng(4), 200)
    widths = [good_region(lrs.tolist(), losses.tolist(), t, LOW, HIGH).decades.estimate for t in (0.5, 2.0, 1e6)]
    assert widths == sorted(widths)
    assert widths[-1] == pytest.approx(5 * np.isfinite(losses).mean())


@pytest.mark.parametrize("losses", [[], [math.nan, math.inf]])
def test_without_a_finite_loss_nothing_is_known(losses: list[float]) -> None:
    found = good_region([1e-3] * len(losses), losses, 1.0, LOW, HIGH)
    assert math.isnan(found.best_lr) and math.isnan(found.decades.estimate) and math.isnan(found.share.low)
    assert found.share.n == len(losses)


def test_trials_with_losses_missing_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2 and 1"):
        good_region([1e-3, 1e-2], [1.0], 1.0, LOW, HIGH)


def test_a_learning_rate_outside_of_the_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2\.0 lies outside"):
        good_region([1e-3, 2.0], [1.0, 1.0], 1.0, LOW, HIGH)


@pytest.fixture(scope="module")
def many_losses() -> Array:
    """The losses of a million trials, rising: what the probability of a good trial is read from."""
    losses = _search(np.random.default_rng(5), 1_000_000)[1]
    return np.sort(np.nan_to_num(losses, nan=np.inf))


@pytest.mark.slow
@pytest.mark.parametrize("tolerance", [2.0, 5.0])
@pytest.mark.parametrize(("trials", "most"), [(25, 0.99), (100, 0.97), (400, 0.97)])
def test_the_interval_covers_the_width_in_95_of_100_searches(
    many_losses: Array, tolerance: float, trials: int, most: float
) -> None:
    rng = np.random.default_rng(6)
    covered = []
    for _ in range(1_000):
        lrs, losses = _search(rng, trials)
        found = good_region(lrs.tolist(), losses.tolist(), tolerance, LOW, HIGH)
        level = np.nanmin(losses) + tolerance
        truth = 5 * np.searchsorted(many_losses, level, side="right") / len(many_losses)
        covered.append(found.decades.low <= truth <= found.decades.high)
    assert 0.93 <= np.mean(covered) <= most
