"""The training objective: distortion + beta(t) * rate with free bits, per member.

ELBO(x) = E_q[log p(x|z)] - KL(q(z|x) || p(z)); the distortion is the negative of the first term, the rate the second
(nats per example). What is judged is always distortion + rate; what follows here is for training only.

Letters: K members, B batch, Z latent dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaestudy.registry import Source

KINGMA_WELLING = Source(
    "kingma2014autoencoding",
    "Kingma, Diederik P. and Welling, Max",
    "Auto-Encoding Variational {B}ayes",
    2014,
    "arXiv:1312.6114",
)
FREE_BITS = Source(
    "kingma2016improved",
    "Kingma, Diederik P. and Salimans, Tim and Jozefowicz, Rafal and Chen, Xi and Sutskever, Ilya and Welling, Max",
    "Improving Variational Inference with Inverse Autoregressive Flow",
    2016,
    "arXiv:1606.04934",
)


@dataclass(frozen=True)
class FreeBits:
    """One member's free bits: no gain from a unit's rate below ``nats``.

    Attributes:
        nats: lambda, the floor of each unit; 0 turns free bits off.
        per: a unit is one latent ``dimension``, a ``group`` of neighbouring ones, or the ``total``.
        groups: how many groups of (nearly) equal size, where ``per`` is ``group``.
        average: the floor applies to the ``batch`` mean of a unit's rate (Kingma 2016, Eq. 15) or to each ``example``.
    """

    nats: float = 0.0
    per: str = "dimension"
    groups: int = 1
    average: str = "batch"


class FreeBitsTable:
    """The free bits of K members as tensors, so that members of one population may differ in every respect."""

    def __init__(self, members: Sequence[FreeBits], latent_dim: int, like: Tensor):
        units = torch.tensor([_units(m, latent_dim) for m in members], device=like.device)
        self._units = units
        self._nats = torch.tensor([m.nats for m in members], dtype=like.dtype, device=like.device)
        self._filled = torch.zeros_like(units, dtype=like.dtype).scatter_(1, units, 1.0)
        self._batch = torch.tensor([m.average == "batch" for m in members], device=like.device)
        self._without = torch.tensor([m.nats == 0 for m in members], device=like.device)
        self._off = all(m.nats == 0 for m in members)

    def rate(self, rate: Tensor) -> Tensor:
        """The rate that training pays, ``[K]``, from the rate per example and dimension ``[K, B, Z]``."""
        plain = rate.sum(-1).mean(-1)
        if self._off:
            return plain
        unit = torch.zeros_like(rate).scatter_add_(2, self._units[:, None, :].expand_as(rate), rate)
        floor = self._nats[:, None] * self._filled
        mean = _at_least(unit.mean(1), floor).sum(-1)
        each = _at_least(unit, floor[:, None, :]).sum(-1).mean(-1)
        # Summed in another order, a rate without a floor would differ in its last bit from that of a member alone.
        return torch.where(self._without, plain, torch.where(self._batch, mean, each))


def _units(member: FreeBits, latent_dim: int) -> list[int]:
    if member.per == "dimension":
        return list(range(latent_dim))
    groups = min(member.groups, latent_dim) if member.per == "group" else 1
    return [j * groups // latent_dim for j in range(latent_dim)]


def _at_least(value: Tensor, floor: Tensor) -> Tensor:
    """``max(value, floor)`` whose gradient is exactly 0 at and below the floor."""
    return torch.where(value > floor, value, floor)


def gaussian_rate(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, diag exp(logvar)) || N(0, I)) per dimension, in nats; the shape of ``mu`` (Kingma & Welling, App. B)."""
    return 0.5 * (mu * mu + torch.exp(logvar) - 1 - logvar)


def reparameterise(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """z = mu + sigma * eps."""
    return torch.addcmul(mu, torch.exp(0.5 * logvar), eps)
