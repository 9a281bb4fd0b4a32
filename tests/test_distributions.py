"""The Bernoulli and Gaussian likelihoods against closed forms and torch.distributions."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal

from vaestudy.distributions import likelihoods


def test_bernoulli_sums_to_one_over_all_data() -> None:
    logits = torch.randn(4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)
    found = torch.exp(-likelihoods.find("bernoulli").component().distortion(logits.expand(16, 4), every)).sum()
    assert float(found) == pytest.approx(1.0)


def test_gaussian_integrates_to_one() -> None:
    grid = torch.linspace(-12, 12, 40_001, dtype=torch.float64)[:, None]
    made = likelihoods.find("gaussian").component(scale=0.7)
    density = torch.exp(-made.distortion(torch.full_like(grid, 0.3), grid))
    assert float(density.sum() * (grid[1, 0] - grid[0, 0])) == pytest.approx(1.0)


def test_distortions_are_torchs_log_probabilities() -> None:
    output, x = torch.randn(6, 5), torch.rand(6, 5)
    binary = x.round()
    expected = -Independent(Bernoulli(logits=output), 1).log_prob(binary)
    torch.testing.assert_close(likelihoods.find("bernoulli").component().distortion(output, binary), expected)
    expected = -Independent(Normal(output, 0.4), 1).log_prob(x)
    torch.testing.assert_close(likelihoods.find("gaussian").component(scale=0.4).distortion(output, x), expected)


def test_pixels_that_never_vary_cost_the_trivial_model_half_a_count_each() -> None:
    x = torch.zeros(10, 2)
    assert likelihoods.find("bernoulli").component().trivial(x, x) == pytest.approx(2 * math.log(11 / 10.5))
    assert math.isfinite(likelihoods.find("gaussian").component().trivial(x, x))
