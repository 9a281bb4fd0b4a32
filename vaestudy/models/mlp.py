"""The multilayer perceptron VAE, and the linear one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from vaestudy.hyperparameters import Count, choice
from vaestudy.models.base import Named, dense, dense_parameters, models
from vaestudy.params import Layout, Parameter
from vaestudy.registry import Source

KINGMA_WELLING = Source(
    "kingma2014autoencoding",
    "Kingma, Diederik P. and Welling, Max",
    "Auto-Encoding Variational {B}ayes",
    2014,
    "arXiv:1312.6114",
)
TIPPING = Source(
    "tipping1999probabilistic",
    "Tipping, Michael E. and Bishop, Christopher M.",
    "Probabilistic Principal Component Analysis",
    1999,
    "10.1111/1467-9868.00196",
)

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "leaky_relu": F.leaky_relu,
    "softplus": F.softplus,
    "gelu": F.gelu,
}


@dataclass(frozen=True)
class Mlp:
    """Fully connected encoder and decoder; the decoder mirrors the encoder's hidden layers."""

    data_dim: int
    hidden: tuple[int, ...]
    latent_dim: int
    activation: Callable[[Tensor], Tensor]
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        down = (self.data_dim, *self.hidden)
        up = (self.latent_dim, *reversed(self.hidden))
        parameters = [
            *_layers("encoder", down),
            *dense_parameters("encoder.posterior", down[-1], 2 * self.latent_dim),
            *_layers("decoder", up),
            *dense_parameters("decoder.output", up[-1], self.data_dim),
        ]
        object.__setattr__(self, "layout", Layout(parameters))

    def encode(self, params: Named, x: Tensor) -> tuple[Tensor, Tensor]:
        for i in range(len(self.hidden)):
            x = self.activation(dense(params, f"encoder.{i}", x))
        mu, logvar = dense(params, "encoder.posterior", x).chunk(2, dim=-1)
        return mu, logvar

    def decode(self, params: Named, z: Tensor) -> Tensor:
        for i in range(len(self.hidden)):
            z = self.activation(dense(params, f"decoder.{i}", z))
        return dense(params, "decoder.output", z)


def _layers(part: str, sizes: tuple[int, ...]) -> list[Parameter]:
    """The hidden layers of a part, from its input's size to its last hidden size."""
    pairs = enumerate(pairwise(sizes))
    return [
        parameter for i, (inputs, outputs) in pairs for parameter in dense_parameters(f"{part}.{i}", inputs, outputs)
    ]


def mlp(
    data_dim: int,
    *,
    hidden: tuple[Count, ...] = (400,),
    latent_dim: Count = 20,
    activation: Annotated[str, choice(*ACTIVATIONS)] = "relu",
) -> Mlp:
    """Fully connected encoder and decoder, hidden layers mirrored."""
    return Mlp(data_dim, tuple(hidden), latent_dim, ACTIVATIONS[activation])


def linear(data_dim: int, *, latent_dim: Count = 2) -> Mlp:
    """Affine encoder and decoder: with a Gaussian likelihood, probabilistic PCA, whose optimum is known exactly."""
    return Mlp(data_dim, (), latent_dim, ACTIVATIONS["relu"])


models.add("mlp", mlp, mlp, KINGMA_WELLING)
models.add("linear", linear, linear, TIPPING)
