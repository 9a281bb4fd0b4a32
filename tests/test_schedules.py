"""Schedules at their ends and between."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaestudy.schedules import progress, ramp_end, schedules, value, warmup

RAMPS = ["linear", "sigmoid", "cosine"]
SHARES = [0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0]


def weights(name: str, total: int, **arguments: float) -> torch.Tensor:
    return schedules.find(name).component(progress(torch.arange(total), total), **arguments)


@pytest.mark.parametrize("total", [1, 2, 7, 100, 1001])
@pytest.mark.parametrize("over", SHARES)
@pytest.mark.parametrize("name", RAMPS)
def test_beta_is_exactly_at_its_end_value_at_the_end_of_its_ramp_and_after(name: str, over: float, total: int) -> None:
    beta = value(weights(name, total, over=over), 0.3, 0.7)
    after = progress(torch.arange(total), total) >= over
    assert (beta[after] == 0.7).all()
    assert beta[-1] == 0.7 or total == 1


@pytest.mark.parametrize("over", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("name", RAMPS)
def test_beta_starts_exactly_at_its_start_value(name: str, over: float) -> None:
    assert value(weights(name, 100, over=over), 0.3, 0.7)[0] == 0.3


@pytest.mark.parametrize("name", RAMPS)
def test_a_ramp_never_falls(name: str) -> None:
    assert (weights(name, 500, over=0.6).diff() >= 0).all()


def test_a_constant_schedule_is_at_its_end_value_throughout() -> None:
    assert (value(weights("constant", 50), 0.0, 1.0) == 1).all()


def test_the_linear_ramp_is_the_textbooks_but_reaches_its_end() -> None:
    beta = weights("linear", 5)
    torch.testing.assert_close(beta, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("cycles", [1, 2, 4])
def test_the_cyclical_schedule_restarts_at_each_cycle_and_ends_at_its_end_value(cycles: int) -> None:
    total = 401
    beta = weights("cyclical", total, over=0.5, cycles=cycles)
    starts = [round(c * 400 / cycles) for c in range(cycles)]
    assert (beta[starts] == 0).all()
    assert beta[-1] == 1
    assert int((beta.diff() < 0).sum()) == cycles - 1


@given(
    over=st.floats(0, 1), cycles=st.integers(1, 6), name=st.sampled_from(["linear", "sigmoid", "cosine", "cyclical"])
)
def test_weights_stay_within_their_bounds_and_are_one_after_the_ramps_end(over: float, cycles: int, name: str) -> None:
    at = torch.linspace(0, 1, 97, dtype=torch.float64)
    arguments = {"over": over, **({"cycles": cycles} if name == "cyclical" else {})}
    found = schedules.find(name).component(at, **arguments)
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[at >= ramp_end(name, over=over, cycles=cycles) + 1e-9] == 1).all()


def test_warm_up_climbs_to_one_in_its_share_and_leaves_the_rest_to_the_schedule() -> None:
    factor, rest = warmup(torch.arange(100), 100, 0.2)
    assert factor[0] == pytest.approx(1 / 20)
    assert (factor[19:] == 1).all()
    assert (rest[:21] == 0).all()
    assert rest[-1] == 1


def test_without_warm_up_the_schedule_has_all_of_training() -> None:
    factor, rest = warmup(torch.arange(11), 11, 0.0)
    assert (factor == 1).all()
    torch.testing.assert_close(rest, torch.linspace(0, 1, 11, dtype=torch.float64))
