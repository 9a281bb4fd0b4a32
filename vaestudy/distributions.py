"""Likelihoods p(x|z): true log-likelihoods, in nats.

Letters: N and M examples, D data dimensions.
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

    def trivial(self, fit: Tensor, judged: Tensor) -> float:
        """L_trivial: the mean negative log-likelihood of ``judged`` ``[M, D]``, nats per example, under the constant
        decoder that was fitted on ``fit`` ``[N, D]`` (binary data, or the means that they are drawn from)."""
        ...


LikelihoodFactory = Callable[..., Likelihood]
likelihoods: Registry[LikelihoodFactory] = Registry("likelihood")

CHUNK = 1024
"""Examples that are turned into float64 at once."""


@dataclass(frozen=True)
class Bernoulli:
    """Independent Bernoulli pixels; the decoder gives logits."""

    binary: bool = True

    def distortion(self, output: Tensor, x: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(output, x.expand_as(output), reduction="none").sum(-1)

    def mean(self, output: Tensor) -> Tensor:
        return torch.sigmoid(output)

    def trivial(self, fit: Tensor, judged: Tensor) -> float:
        # Half a count of each value is added: a pixel that was never 1 while fitting may be so when judged.
        p = (_sum(fit) + 0.5) / (len(fit) + 1)
        share = _sum(judged) / len(judged)
        return float(-(share * torch.log(p) + (1 - share) * torch.log1p(-p)).sum())


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

    def trivial(self, fit: Tensor, judged: Tensor) -> float:
        mean = _sum(fit) / len(fit)
        parts = [self.distortion(mean, part.double()).sum() for part in torch.split(judged, CHUNK)]
        return float(torch.stack(parts).sum()) / len(judged)


def _sum(x: Tensor) -> Tensor:
    """The sum of ``x`` ``[N, D]`` over examples, ``[D]`` in float64, without a copy of all of it."""
    return torch.stack([part.double().sum(0) for part in torch.split(x, CHUNK)]).sum(0)


def bernoulli() -> Bernoulli:
    """Independent Bernoulli pixels, for binary data."""
    return Bernoulli()


def gaussian(*, scale: Positive = 1.0) -> Gaussian:
    """Independent Gaussian pixels with a fixed standard deviation ``scale``, for grey data in [0, 1]."""
    return Gaussian(scale)


likelihoods.add("bernoulli", bernoulli, bernoulli, None)
likelihoods.add("gaussian", gaussian, gaussian, None)
