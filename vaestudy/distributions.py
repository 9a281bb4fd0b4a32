"""Likelihoods p(x|z): true log-likelihoods, in nats.

Letters: K members, B batch, D data dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from vaestudy.hyperparameters import Positive
from vaestudy.registry import Registry


class Likelihood(Protocol):
    """A distribution of data given the decoder's output, both ``[..., D]``."""

    @property
    def binary(self) -> bool:
        """Whether the data must be 0 or 1."""
        ...

    def distortion(self, output: Tensor, x: Tensor) -> Tensor:
        """-log p(x|z) summed over D, ``[...]``, nats."""
        ...

    def mean(self, output: Tensor) -> Tensor:
        """E[x|z], ``[..., D]``."""
        ...

    def trivial(self, x: Tensor) -> float:
        """L_trivial: the mean negative log-likelihood of ``x`` ``[N, D]`` under its best constant decoder, nats."""
        ...


LikelihoodFactory = Callable[..., Likelihood]
likelihoods: Registry[LikelihoodFactory] = Registry("likelihood")


@dataclass(frozen=True)
class Bernoulli:
    """Independent Bernoulli pixels; the decoder gives logits."""

    binary: bool = True

    def distortion(self, output: Tensor, x: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(output, x.expand_as(output), reduction="none").sum(-1)

    def mean(self, output: Tensor) -> Tensor:
        return torch.sigmoid(output)

    def trivial(self, x: Tensor) -> float:
        p = x.double().mean(0)
        return float(-(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).sum())


@dataclass(frozen=True)
class Gaussian:
    """Independent Gaussian pixels with one fixed standard deviation; the decoder gives means."""

    scale: float
    binary: bool = False

    def distortion(self, output: Tensor, x: Tensor) -> Tensor:
        constant = x.shape[-1] * (math.log(self.scale) + 0.5 * math.log(2 * math.pi))
        return (x - output).square().sum(-1) / (2 * self.scale**2) + constant

    def mean(self, output: Tensor) -> Tensor:
        return output

    def trivial(self, x: Tensor) -> float:
        x = x.double()
        return float(self.distortion(x.mean(0), x).mean())


def bernoulli() -> Bernoulli:
    """Independent Bernoulli pixels, for binary data."""
    return Bernoulli()


def gaussian(*, scale: Positive = 1.0) -> Gaussian:
    """Independent Gaussian pixels with a fixed standard deviation ``scale``, for grey data in [0, 1]."""
    return Gaussian(scale)


likelihoods.add("bernoulli", bernoulli, bernoulli, None)
likelihoods.add("gaussian", gaussian, gaussian, None)
