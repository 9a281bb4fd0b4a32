"""What runs are judged by, case by case: bounds from weights, active units, information, blocks, failure classes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import pytest
import torch
from torch.distributions import Independent, Normal

from vaestudy.metrics import (
    LogMeanExp,
    active_units,
    blocks,
    bound_bias,
    failure_class,
    log_mean_exp,
    log_normal,
    mutual_information,
)
from vaestudy.records import Failure


def normals(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_the_log_density_is_torchs_summed_over_the_last_axis() -> None:
    z, mu, logvar = normals(4, 3), normals(4, 3, seed=2), normals(4, 3, seed=3)
    expected = Independent(Normal(mu, torch.exp(0.5 * logvar)), 1).log_prob(z)
    torch.testing.assert_close(log_normal(z, mu, logvar), expected)
    torch.testing.assert_close(log_normal(z), Independent(Normal(torch.zeros_like(z), 1.0), 1).log_prob(z))


def test_the_log_mean_of_weights_is_taken_over_the_last_axis() -> None:
    weights = torch.tensor([[1.0, 3.0], [2.0, 2.0], [5.0, 0.0]], dtype=torch.float64)
    expected = [math.log(2.0), math.log(2.0), math.log(2.5)]
    assert log_mean_exp(weights.log()).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("cuts", [[7], [1, 6], [3, 1, 3]])
def test_weights_that_arrive_in_pieces_have_the_same_mean(cuts: list[int]) -> None:
    log_weights = 30 * normals(5, 7) - 800  # far below what exp can hold
    mean = LogMeanExp()
    for piece in torch.split(log_weights, cuts, dim=1):
        mean.add(piece)
    torch.testing.assert_close(mean.value(), log_mean_exp(log_weights))


def test_the_bias_of_two_weights_is_the_gap_between_their_two_means() -> None:
    a, b = 1.0, 9.0
    expected = math.log((a + b) / 2) - 0.5 * (math.log(a) + math.log(b))
    assert float(bound_bias(torch.tensor([a, b], dtype=torch.float64).log())) == pytest.approx(expected)


def test_the_bias_of_an_odd_number_of_weights_weighs_the_halves_by_their_sizes() -> None:
    a, b, c = 1.0, 4.0, 7.0
    expected = math.log(4.0) - (2 * math.log((a + b) / 2) + math.log(c)) / 3
    assert float(bound_bias(torch.tensor([a, b, c], dtype=torch.float64).log())) == pytest.approx(expected)


@pytest.mark.parametrize("samples", [20, 21, 7, 100])
def test_the_bias_of_lognormal_weights_is_half_their_variance_over_their_number(samples: int) -> None:
    spread = 0.3  # Nowozin 2018, Proposition 1: the bound is Var(w) / (2 S) below log E(w), here 0
    log_weights = spread * normals(100_000, samples) - spread**2 / 2
    expected = (math.exp(spread**2) - 1) / (2 * samples)
    assert float(bound_bias(log_weights).mean()) == pytest.approx(expected, rel=0.05)


def test_the_bias_is_never_negative_and_none_where_weights_are_equal() -> None:
    assert bound_bias(3 * normals(500, 9)).gt(0).all()
    assert bound_bias(torch.full((4, 6), -70.0, dtype=torch.float64)).tolist() == pytest.approx([0.0] * 4, abs=1e-12)


def test_of_one_weight_no_bias_can_be_told() -> None:
    assert bound_bias(normals(3, 1)).isnan().tolist() == [True] * 3


# --- active units ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("deviation", "active"), [(0.0999, 0), (0.1001, 1), (0.08, 0), (5.0, 1)])
def test_a_unit_is_active_where_its_means_vary_by_more_than_a_hundredth(deviation: float, active: int) -> None:
    mu = torch.tensor([[[7 + deviation], [7 - deviation]]], dtype=torch.float64)  # of the two, not of a sample of two
    assert active_units(mu).tolist() == [active]


def test_active_units_are_counted_for_each_member_over_its_examples() -> None:
    mu = torch.zeros(3, 4, 2, dtype=torch.float64)
    mu[0, 1] = 1.0
    mu[1, :, 0] = torch.tensor([0.0, 1.0, 2.0, 3.0])
    mu[2] = 5.0  # large, but the same for all
    assert active_units(mu).tolist() == [2, 1, 0]


# --- mutual information ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 200, 300])
def test_codes_that_tell_nothing_share_no_information(count: int) -> None:
    mu, logvar = torch.ones(count, 3), torch.full((count, 3), -0.7)
    assert mutual_information(mu, logvar, normals(count, 3)) == pytest.approx(0.0, abs=1e-9)


def test_codes_far_apart_tell_the_example_and_no_more() -> None:
    mu = 100.0 * torch.arange(300.0)[:, None]
    assert mutual_information(mu, torch.zeros(300, 1), normals(300, 1)) == pytest.approx(math.log(300), abs=1e-9)


def test_the_information_of_two_codes_is_what_the_definition_gives() -> None:
    mu, logvar = torch.tensor([[0.0, 1.0], [1.5, -0.5]]), torch.tensor([[0.2, -1.0], [-0.3, 0.4]])
    mu, logvar, eps = mu.double(), logvar.double(), normals(2, 2)
    deviation = torch.exp(0.5 * logvar)
    z = mu + deviation * eps
    density = [[math.exp(float(Normal(mu[j], deviation[j]).log_prob(z[i]).sum())) for j in (0, 1)] for i in (0, 1)]
    told = [math.log(density[i][i] / ((density[i][0] + density[i][1]) / 2)) for i in (0, 1)]
    assert mutual_information(mu, logvar, eps) == pytest.approx(statistics.fmean(told), abs=1e-12)


def test_gaussian_codes_share_half_the_log_of_signal_over_noise() -> None:
    variance = 4.0  # of the means; the codes' own is 1, so I = log(1 + 4) / 2
    mu, eps = math.sqrt(variance) * normals(3000, 2)[:, :1], normals(3000, 2)[:, 1:]
    assert mutual_information(mu, torch.zeros(3000, 1), eps) == pytest.approx(0.5 * math.log(1 + variance), abs=0.03)


# --- blocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 7, 99, 100, 101, 297, 10_000])
def test_the_plain_mean_of_the_blocks_is_the_mean_of_the_scores(count: int) -> None:
    scores = 20 + normals(count)
    found = blocks(scores)
    assert len(found) == min(100, count)
    assert statistics.fmean(found) == pytest.approx(float(scores.mean()), rel=1e-12)


def test_every_hundredth_example_is_in_the_same_block() -> None:
    scores = torch.zeros(250, dtype=torch.float64)
    scores[[3, 103, 203]] = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    found = blocks(scores)
    assert found[3] == pytest.approx(7.0 * 100 / 250)
    assert [value for place, value in enumerate(found) if place != 3] == [0.0] * 99


def test_few_scores_are_their_own_blocks() -> None:
    assert blocks(torch.tensor([3.0, 5.0, 4.0])) == [3.0, 5.0, 4.0]


def test_the_spread_of_the_blocks_tells_the_error_of_the_mean() -> None:
    found = [blocks(5 * normals(1000, seed=seed)) for seed in range(200)]
    told = statistics.fmean(statistics.variance(each) / len(each) for each in found)
    assert told == pytest.approx(25 / 1000, rel=0.1)


# --- failure classes -------------------------------------------------------------------------------------------------

TRIVIAL, INITIAL = 26.0, 45.0
STEPS = range(0, 101, 10)


def flat_from(second: float, last: float, initial: float = INITIAL) -> list[float]:
    """Eleven evaluations of a run that stays where its first updates brought it."""
    return [initial, *[second] * 9, last]


def judged(nelbo: Sequence[float], kl: float = 5.0, active: float = 4.0, steps: Sequence[int] = STEPS) -> Failure:
    return failure_class(steps, nelbo, above_trivial=nelbo[-1] - TRIVIAL, kl=kl, active=active)


def test_a_run_that_learned_and_has_settled_is_sound() -> None:
    assert judged(flat_from(23.2, 23.1)) == "none"


@pytest.mark.parametrize("last", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_at_the_end_has_diverged(last: float) -> None:
    assert judged(flat_from(23.0, last)) == "diverged"
    assert judged(flat_from(23.0, last), kl=0.0, active=0) == "diverged"


@pytest.mark.parametrize(("last", "expected"), [(45.01, "diverged"), (45.0, "undertrained"), (44.99, "undertrained")])
def test_a_run_that_was_better_than_at_the_start_and_is_worse_has_diverged(last: float, expected: Failure) -> None:
    assert judged(flat_from(23.0, last)) == expected


def test_a_run_that_diverged_is_not_collapsed_as_well() -> None:
    assert judged(flat_from(23.0, 60.0), kl=0.0, active=0) == "diverged"


def test_a_run_that_never_was_better_than_at_the_start_is_undertrained() -> None:
    assert judged(flat_from(46.0, 45.5)) == "undertrained"
    assert judged(flat_from(45.0, 45.5)) == "undertrained"
    assert judged(flat_from(20.5, 20.2, initial=20.0)) == "undertrained"
    assert judged(flat_from(20.1, 20.2, initial=20.0)) == "undertrained"
    assert judged(flat_from(20.0, 20.0, initial=20.0)) == "undertrained"


def test_a_run_that_is_back_where_it_started_is_undertrained() -> None:
    assert judged(flat_from(19.9, 20.0, initial=20.0)) == "undertrained"


def test_a_run_that_never_was_better_is_collapsed_where_its_codes_say_nothing() -> None:
    assert judged(flat_from(46.0, 45.5), kl=0.0) == "collapsed"


@pytest.mark.parametrize(
    ("kl", "active", "expected"),
    [(0.0999, 4, "collapsed"), (0.1, 4, "undertrained"), (5.0, 0, "collapsed"), (5.0, 1, "undertrained")],
)
def test_at_the_constant_decoders_level_little_kl_or_no_active_unit_is_collapse(
    kl: float, active: float, expected: Failure
) -> None:
    assert judged(flat_from(26.1, 26.0), kl, active) == expected


@pytest.mark.parametrize(("last", "expected"), [(25.0, "collapsed"), (24.999, "none"), (26.5, "collapsed")])
@pytest.mark.parametrize(("kl", "active"), [(0.05, 4), (5.0, 0)])
def test_only_at_the_constant_decoders_level_is_it_collapse(
    last: float, expected: Failure, kl: float, active: float
) -> None:
    assert judged(flat_from(last, last), kl, active) == expected


@pytest.mark.parametrize(("last", "expected"), [(25.0, "undertrained"), (24.999, "none")])
def test_a_run_no_better_than_the_constant_decoder_is_undertrained(last: float, expected: Failure) -> None:
    assert judged(flat_from(last, last)) == expected


def test_another_part_of_the_data_may_tell_whether_a_run_is_better_than_the_constant_decoder() -> None:
    nelbo = flat_from(25.9, 25.9)
    assert failure_class(STEPS, nelbo, above_trivial=-1.001, kl=5.0, active=4) == "none"
    assert failure_class(STEPS, nelbo, above_trivial=-1.0, kl=5.0, active=4) == "undertrained"


@pytest.mark.parametrize(("before", "expected"), [(22.5, "undertrained"), (22.49, "none")])
def test_a_tenth_of_the_whole_fall_in_the_last_tenth_is_still_falling(before: float, expected: Failure) -> None:
    assert judged(flat_from(before, 20.0)) == expected  # 45 to 20 is a fall of 25


@pytest.mark.parametrize(("before", "expected"), [(27.5, "undertrained"), (27.4, "none")])
def test_where_evaluations_are_further_apart_the_average_rate_is_asked_for(before: float, expected: Failure) -> None:
    assert judged([45.0, 30.0, before, 20.0], steps=[0, 35, 70, 100]) == expected


@pytest.mark.parametrize(
    ("steps", "expected"), [([0, 90, 95, 100], "undertrained"), ([0, 91, 95, 100], "none"), ([0, 89, 90, 100], "none")]
)
def test_the_fall_is_from_the_last_evaluation_before_the_last_tenth(steps: list[int], expected: Failure) -> None:
    assert judged([45.0, 24.0, 20.5, 20.0], steps=steps) == expected


@pytest.mark.parametrize(("before", "expected"), [(25.0, "undertrained"), (24.9, "none")])
def test_the_average_rate_is_that_since_the_first_evaluation_there_is(before: float, expected: Failure) -> None:
    assert judged([45.0, 22.0, before, 20.0], steps=[50, 80, 90, 100]) == expected


def test_without_an_evaluation_before_the_last_tenth_nothing_is_said_of_its_fall() -> None:
    assert judged([45.0, 20.0], steps=[0, 100]) == "none"
    assert judged([45.0, 20.0], steps=[95, 100]) == "none"
    assert judged([45.0], steps=[0]) == "undertrained"


@pytest.mark.parametrize("shift", [-17.0, 0.0, 300.0])
@pytest.mark.parametrize(
    "nelbo", [flat_from(23.0, 22.9), flat_from(26.0, 26.0), flat_from(23.0, 46.0), flat_from(27.0, 20.0)]
)
def test_a_class_depends_on_differences_of_losses_only(nelbo: list[float], shift: float) -> None:
    moved = [value + shift for value in nelbo]
    found = failure_class(STEPS, moved, above_trivial=nelbo[-1] - TRIVIAL, kl=5.0, active=4)
    assert found == judged(nelbo)
