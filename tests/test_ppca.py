"""The closed-form optimum of the linear VAE against direct numerical optimisation of its exact ELBO."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.ppca import optimum

DATA_DIM, LATENT_DIM = 5, 3


def data(noise: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(60, 2, generator=generator, dtype=torch.float64)
    loadings = torch.randn(2, DATA_DIM, generator=generator, dtype=torch.float64)
    return factors @ loadings + noise * torch.randn(60, DATA_DIM, generator=generator, dtype=torch.float64) + 1.0


def exact_nelbo(x: Tensor, scale: float, weights: dict[str, Tensor]) -> Tensor:
    """The negative ELBO of a linear VAE, nats per example, its expectation over q(z|x) in closed form."""
    mu = (x - weights["centre"]) @ weights["encoder"]
    variance = torch.exp(weights["logvar"])
    residual = (x - weights["bias"] - mu @ weights["decoder"]).square().sum(-1)
    spread = (variance[:, None] * weights["decoder"].square()).sum()
    distortion = (residual + spread) / (2 * scale**2) + DATA_DIM * (math.log(scale) + 0.5 * math.log(2 * math.pi))
    rate = 0.5 * (mu.square() + variance - 1 - weights["logvar"]).sum(-1)
    return (distortion + rate).mean()


def best_found(x: Tensor, scale: float) -> float:
    generator = torch.Generator().manual_seed(1)
    shapes = {
        "encoder": (DATA_DIM, LATENT_DIM),
        "decoder": (LATENT_DIM, DATA_DIM),
        "logvar": (LATENT_DIM,),
        "bias": (DATA_DIM,),
        "centre": (DATA_DIM,),
    }
    weights = {
        name: (0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_()
        for name, shape in shapes.items()
    }
    solver = torch.optim.LBFGS(
        list(weights.values()), max_iter=4000, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        solver.zero_grad()
        loss = exact_nelbo(x, scale, weights)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[arg-type]
    return exact_nelbo(x, scale, weights).item()


@pytest.mark.parametrize(("scale", "noise"), [(0.3, 0.3), (0.2, 0.4), (0.6, 0.2)])
def test_the_optimum_is_what_direct_optimisation_finds(scale: float, noise: float) -> None:
    x = data(noise)
    assert best_found(x, scale) == pytest.approx(optimum(x.numpy(), LATENT_DIM, scale), abs=1e-6)


def test_directions_that_vary_less_than_the_scale_are_left_out() -> None:
    x = data(0.2)
    assert optimum(x.numpy(), 2, 0.6) == pytest.approx(optimum(x.numpy(), DATA_DIM, 0.6))
    assert optimum(x.numpy(), 1, 0.6) > optimum(x.numpy(), 2, 0.6)


def test_with_every_direction_and_no_floor_it_is_the_gaussians_own_likelihood() -> None:
    x = data(0.4).numpy()
    covariance = np.cov(x.T, bias=True)
    entropy = 0.5 * (DATA_DIM * (1 + np.log(2 * np.pi)) + np.linalg.slogdet(covariance)[1])
    assert optimum(x, DATA_DIM, 1e-3) == pytest.approx(float(entropy))
