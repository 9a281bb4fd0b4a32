"""The laws of every registered model and likelihood."""

from __future__ import annotations

import math

import pytest
import torch

from vaestudy.distributions import likelihoods
from vaestudy.models import models
from vaestudy.testing import Law, likelihood_laws, model_laws


@pytest.mark.parametrize("law", model_laws, ids=str)
@pytest.mark.parametrize("name", [entry.name for entry in models])
def test_a_model_keeps_the_law_that(name: str, law: Law) -> None:
    law(name)


@pytest.mark.parametrize("law", likelihood_laws, ids=str)
@pytest.mark.parametrize("name", [entry.name for entry in likelihoods])
def test_a_likelihood_keeps_the_law_that(name: str, law: Law) -> None:
    law(name)


@pytest.mark.parametrize("name", [entry.name for entry in likelihoods])
@pytest.mark.parametrize("count", [1, 1024, 1025, 3000])
def test_the_trivial_loss_is_a_mean_over_the_judged_examples_however_many(name: str, count: int) -> None:
    made = likelihoods.find(name).component()
    fit = torch.bernoulli(torch.full((2500, 3), 0.3), generator=torch.Generator().manual_seed(0))
    judged = torch.bernoulli(torch.full((count, 3), 0.6), generator=torch.Generator().manual_seed(1))
    parts = [made.trivial(fit, example[None]) for example in judged]
    assert made.trivial(fit, judged) == pytest.approx(sum(parts) / count)


def test_the_trivial_bernoulli_decoder_adds_half_a_count_of_each_value_to_what_it_was_fitted_on() -> None:
    made = likelihoods.find("bernoulli").component()
    fit = torch.tensor([[0.0, 1.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 0.5]])  # the last: means, binarised anew
    p = [0.5 / 4, 2.5 / 4, 0.5]
    ones, zeros = torch.ones(1, 3), torch.zeros(1, 3)
    assert made.trivial(fit, ones) == pytest.approx(-sum(map(math.log, p)))
    assert made.trivial(fit, zeros) == pytest.approx(-sum(math.log(1 - each) for each in p))


def test_the_trivial_gaussian_decoder_gives_the_mean_of_what_it_was_fitted_on() -> None:
    made = likelihoods.find("gaussian").component(scale=0.5)
    fit, judged = torch.tensor([[0.0, 1.0], [1.0, 1.0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    squares = [0.25, 0.25 + 1.0]
    expected = sum(squares) / 2 / (2 * 0.5**2) + 2 * (math.log(0.5) + 0.5 * math.log(2 * math.pi))
    assert made.trivial(fit, judged) == pytest.approx(expected)


def test_the_trivial_loss_is_exact_in_float32_data_too() -> None:
    made = likelihoods.find("bernoulli").component()
    x = torch.zeros(60_000, 1)
    x[::3] = 1
    p = (20_000 + 0.5) / 60_001
    assert made.trivial(x, x) == pytest.approx(-(math.log(p) + 2 * math.log(1 - p)) / 3, rel=1e-12)
