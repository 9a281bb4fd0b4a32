"""Schedules at their ends and between."""

from __future__ import annotations

import math

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


AT = [0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.9, 1.0]


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def scaled_logistic(x: float) -> float:
    return (logistic(6 * (2 * x - 1)) - logistic(-6)) / (logistic(6) - logistic(-6))


def half_a_wave(x: float) -> float:
    return (1 - math.cos(math.pi * x)) / 2


@pytest.mark.parametrize("over", [1.0, 0.5])
@pytest.mark.parametrize(
    ("name", "formula"), [("linear", lambda x: x), ("sigmoid", scaled_logistic), ("cosine", half_a_wave)]
)
def test_a_ramp_has_the_values_of_its_formula(name: str, formula: object, over: float) -> None:
    found = schedules.find(name).component(torch.tensor(AT, dtype=torch.float64), over=over)
    expected = [formula(min(at / over, 1.0)) for at in AT]  # type: ignore[operator]
    assert found.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name", RAMPS)
def test_a_ramp_takes_all_of_training_unless_told_otherwise(name: str) -> None:
    at = torch.tensor(AT, dtype=torch.float64)
    assert torch.equal(schedules.find(name).component(at), schedules.find(name).component(at, over=1.0))


def test_the_cyclical_schedule_has_four_cycles_that_climb_for_half_of_each_unless_told_otherwise() -> None:
    at = torch.tensor([0.0, 0.0625, 0.125, 0.2, 0.25, 0.3125, 0.75, 0.8125, 0.875, 1.0], dtype=torch.float64)
    found = schedules.find("cyclical").component(at)
    assert found.tolist() == pytest.approx([0, 0.5, 1, 1, 0, 0.5, 0, 0.5, 1, 1])


def test_the_cyclical_schedule_climbs_over_its_share_of_each_of_its_cycles() -> None:
    at = torch.tensor([0.05, 0.2, 0.3, 0.45, 0.7, 0.95], dtype=torch.float64)
    found = schedules.find("cyclical").component(at, over=0.8, cycles=2)
    assert found.tolist() == pytest.approx([0.125, 0.5, 0.75, 1, 0.5, 1])


def test_a_ramp_without_length_is_at_its_end_value_from_the_first_update() -> None:
    assert schedules.find("linear").component(torch.zeros(3), over=0.0).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "end"),
    [("constant", 0.0), ("linear", 0.3), ("sigmoid", 0.3), ("cosine", 0.3), ("cyclical", (5 - 1 + 0.3) / 5)],
)
def test_a_ramp_ends_where_it_says(name: str, end: float) -> None:
    assert ramp_end(name, over=0.3, cycles=5) == pytest.approx(end)


@pytest.mark.parametrize(("weight", "expected"), [(0.0, 0.2), (0.25, 0.35), (0.5, 0.5), (1.0, 0.8)])
def test_a_value_lies_between_start_and_end_by_its_weight(weight: float, expected: float) -> None:
    assert float(value(torch.tensor(weight, dtype=torch.float64), 0.2, 0.8)) == pytest.approx(expected)


def test_progress_is_even_from_the_first_update_to_the_last_and_stays_there() -> None:
    assert progress(torch.arange(7), 5).tolist() == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert progress(torch.arange(3), 2).tolist() == [0, 1, 1]
    assert progress(torch.zeros(1), 1).tolist() == [0]


def test_progress_that_begins_later_is_0_until_then_and_even_over_what_is_left() -> None:
    assert progress(torch.arange(8), 7, 2).tolist() == [0, 0, 0, 0.25, 0.5, 0.75, 1, 1]
    assert progress(torch.arange(4), 3, 2).tolist() == [0, 0, 0, 1]


def test_warm_up_gives_every_update_its_exact_factor_and_the_rest_its_exact_progress() -> None:
    factor, rest = warmup(torch.arange(9), 8, 0.5)
    assert factor.tolist() == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1]
    assert rest.tolist() == pytest.approx([0, 0, 0, 0, 0, 1 / 3, 2 / 3, 1, 1])


def test_warm_up_that_leaves_two_updates_takes_the_schedule_from_start_to_end_in_them() -> None:
    factor, rest = warmup(torch.arange(4), 4, 0.5)
    assert factor.tolist() == [0.5, 1, 1, 1]
    assert rest.tolist() == [0, 0, 0, 1]


def test_warm_up_over_all_of_training_leaves_the_schedule_at_its_start() -> None:
    factor, rest = warmup(torch.arange(4), 4, 1.0)
    assert factor.tolist() == [0.25, 0.5, 0.75, 1]
    assert rest.tolist() == [0, 0, 0, 0]
