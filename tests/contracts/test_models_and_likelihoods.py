"""The laws of every registered model and likelihood."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal

from vaestudy.distributions import likelihoods
from vaestudy.models import models
from vaestudy.params import ALIGNMENT, PARTS

MODELS = [entry.name for entry in models]
DATA_DIM = 12


def built(name: str) -> tuple[object, torch.Tensor]:
    model = models.find(name).component(DATA_DIM)
    rows = [model.layout.initial(torch.Generator().manual_seed(seed), torch.float32) for seed in range(3)]
    return model, torch.stack(rows)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_maps_data_to_a_posterior_and_back(name: str) -> None:
    model, flat = built(name)
    params = model.layout.views(flat)  # type: ignore[attr-defined]
    mu, logvar = model.encode(params, torch.rand(3, 5, DATA_DIM))  # type: ignore[attr-defined]
    assert mu.shape == logvar.shape == (3, 5, model.latent_dim)  # type: ignore[attr-defined]
    assert model.decode(params, mu).shape == (3, 5, DATA_DIM)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", MODELS)
def test_a_member_alone_equals_the_same_member_among_others(name: str) -> None:
    model, flat = built(name)
    x = torch.rand(3, 7, DATA_DIM)
    among = model.decode(model.layout.views(flat), model.encode(model.layout.views(flat), x)[0])  # type: ignore[attr-defined]
    one = model.layout.views(flat[1:2].clone())  # type: ignore[attr-defined]
    assert torch.equal(model.decode(one, model.encode(one, x[1:2])[0])[0], among[1])  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", MODELS)
def test_a_members_gradient_alone_equals_its_gradient_among_others(name: str) -> None:
    model, flat = built(name)
    x = torch.rand(3, 7, DATA_DIM, generator=torch.Generator().manual_seed(0))

    def gradient(rows: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
        leaf = rows.clone().requires_grad_()
        params = model.layout.views(leaf)  # type: ignore[attr-defined]
        mu, logvar = model.encode(params, data)  # type: ignore[attr-defined]
        loss = model.decode(params, mu + logvar).square().sum()  # type: ignore[attr-defined]
        return torch.autograd.grad(loss, leaf)[0]

    assert torch.equal(gradient(flat[1:2], x[1:2])[0], gradient(flat, x)[1])


@pytest.mark.parametrize("name", MODELS)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    entry = models.find(name)
    small = {"hidden": (4,), "activation": "tanh"} if "hidden" in entry.hyperparameters else {}
    model = entry.component(3, latent_dim=2, **small)
    flat = model.layout.initial(torch.Generator().manual_seed(0), torch.float64)[None].requires_grad_()
    x = torch.rand(1, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def both(row: torch.Tensor) -> tuple[torch.Tensor, ...]:
        params = model.layout.views(row)
        mu, logvar = model.encode(params, x)
        return mu, logvar, model.decode(params, mu)

    assert torch.autograd.gradcheck(both, (flat,))


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_belongs_to_a_part_and_starts_on_a_boundary(name: str) -> None:
    layout = models.find(name).component(DATA_DIM).layout
    assert {p.name.split(".")[0] for p in layout.parameters} == set(PARTS)
    assert all(offset % ALIGNMENT == 0 for offset in layout.offsets.values())
    assert layout.columns("encoder").stop == layout.columns("decoder").start
    assert layout.columns("decoder").stop == layout.width


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


@pytest.mark.parametrize("name", [entry.name for entry in likelihoods])
def test_fitted_on_much_of_what_is_judged_the_trivial_loss_is_that_of_the_best_constant_decoder(name: str) -> None:
    made = likelihoods.find(name).component()
    x = torch.bernoulli(torch.full((64, 3), 0.3, dtype=torch.float64), generator=torch.Generator().manual_seed(0))
    constant = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([constant], max_iter=200)

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = made.distortion(constant.expand(64, 3), x).mean()
        value.backward()
        return value

    solver.step(loss)
    assert made.trivial(x.repeat(500, 1), x) == pytest.approx(loss().item(), abs=1e-6)


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
