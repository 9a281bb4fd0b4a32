"""A linear VAE with a Gaussian likelihood, of which everything that a judge estimates is known in closed form.

x|z ~ N(z W + b, scale^2), z ~ N(0, I), so x ~ N(b, W'W + scale^2); q(z|x) = N(x A + a, diag exp(logvar)). Where the
rows of W are orthogonal the posterior is diagonal, and the encoder can be exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from vaestudy.data import Examples
from vaestudy.distributions import likelihoods
from vaestudy.models import models
from vaestudy.population import Task

DATA_DIM, LATENT_DIM = 6, 2
SCALE = 0.5


@dataclass(frozen=True)
class LinearVae:
    """The decoder ``[Z, D]`` and ``[D]``; the encoder ``[D, Z]``, ``[Z]`` and the posterior's log-variances ``[Z]``."""

    weight: Tensor
    bias: Tensor
    encoder: Tensor
    shift: Tensor
    logvar: Tensor

    @property
    def params(self) -> dict[str, Tensor]:
        """Named parameters ``[1, *shape]`` of the model ``linear``."""
        none = torch.zeros_like(self.encoder)
        return {
            "encoder.posterior.weight": torch.cat([self.encoder, none], dim=1)[None],
            "encoder.posterior.bias": torch.cat([self.shift, self.logvar])[None],
            "decoder.output.weight": self.weight[None],
            "decoder.output.bias": self.bias[None],
        }

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log p(x) of each example, ``[N]``, nats."""
        noise = SCALE**2 * torch.eye(len(self.bias), dtype=x.dtype)
        return MultivariateNormal(self.bias, self.weight.T @ self.weight + noise).log_prob(x)

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The distortion and the rate of each example, ``[N]``, their expectations over q(z|x), nats."""
        mu, variance = x @ self.encoder + self.shift, torch.exp(self.logvar)
        residual = (x - self.bias - mu @ self.weight).square().sum(-1)
        spread = (variance[:, None] * self.weight.square()).sum()
        constant = x.shape[1] * (math.log(SCALE) + 0.5 * math.log(2 * math.pi))
        rate = 0.5 * (mu.square() + variance - 1 - self.logvar).sum(-1)
        return (residual + spread) / (2 * SCALE**2) + constant, rate


def exact(weight: Tensor | None = None, bias: float = 0.4) -> LinearVae:
    """The VAE whose encoder gives the posterior itself; the rows of ``weight`` are orthogonal."""
    if weight is None:
        weight = torch.zeros(LATENT_DIM, DATA_DIM, dtype=torch.float64)
        weight[0, :3], weight[1, 3:] = torch.tensor([1.0, -0.5, 0.25]), torch.tensor([0.5, 0.75, -1.0])
    biases = torch.full((weight.shape[1],), bias, dtype=torch.float64)
    precision = weight.square().sum(-1) + SCALE**2  # of the posterior, times SCALE^2
    encoder = weight.T / precision
    return LinearVae(weight, biases, encoder, -biases @ encoder, torch.log(SCALE**2 / precision))


def misjudged(widths: tuple[float, float] = (1.5, 0.8), shift: float = 0.2) -> LinearVae:
    """The same decoder with an encoder that is off: its scales by ``widths``, its means by ``shift``."""
    right = exact()
    wider = 2 * torch.log(torch.tensor(widths, dtype=torch.float64))
    return LinearVae(right.weight, right.bias, right.encoder, right.shift + shift, right.logvar + wider)


def examples(count: int, seed: int = 0, vae: LinearVae | None = None) -> Tensor:
    """Draws of x, ``[count, D]`` in float64."""
    made, generator = vae or exact(), torch.Generator().manual_seed(seed)
    z = torch.randn(count, len(made.weight), generator=generator, dtype=torch.float64)
    noise = torch.randn(count, len(made.bias), generator=generator, dtype=torch.float64)
    return z @ made.weight + made.bias + SCALE * noise


def task(train: Tensor, validation: Tensor) -> Task:
    """The linear VAE's task on such data."""
    data_dim = train.shape[1]
    model = models.find("linear").component(data_dim, latent_dim=LATENT_DIM)
    parts = Examples(train, validation, False, (1, data_dim))
    return Task(parts, model, likelihoods.find("gaussian").component(scale=SCALE), 16)
