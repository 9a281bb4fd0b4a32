"""What a trained VAE is judged by: functions of per-example terms, in nats per example.

Letters: K members, N examples, S importance samples, Z latent dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaestudy.records import Failure
from vaestudy.registry import Source

HOFFMAN = Source(
    "hoffman2016elbo",
    "Hoffman, Matthew D. and Johnson, Matthew J.",
    "{ELBO} Surgery: Yet Another Way to Carve Up the Variational Evidence Lower Bound",
    2016,
    "NIPS Workshop on Advances in Approximate Bayesian Inference",
)
BURDA = Source(
    "burda2016importance",
    "Burda, Yuri and Grosse, Roger and Salakhutdinov, Ruslan",
    "Importance Weighted Autoencoders",
    2016,
    "arXiv:1509.00519",
)

ACTIVE_VARIANCE = 0.01
"""A latent dimension is active where Var_x(E_q[z]) exceeds this (Burda 2016, Section 5.2)."""

MIXTURE_CHUNK = 128
"""Posteriors that are compared with all codes at once."""

COLLAPSE_KL_NATS = 0.1
COLLAPSE_MARGIN_NATS = 1.0


def active_units(mu: Tensor) -> Tensor:
    """The number of active dimensions ``[K]``, from posterior means ``[K, N, Z]``."""
    return (mu.var(dim=1, correction=0) > ACTIVE_VARIANCE).sum(-1)


def log_normal(z: Tensor, mu: Tensor | float = 0.0, logvar: Tensor | float = 0.0) -> Tensor:
    """log N(z; mu, diag exp(logvar)) summed over the last axis, nats."""
    logvar = torch.as_tensor(logvar, dtype=z.dtype, device=z.device)
    return -0.5 * (math.log(2 * math.pi) + logvar + (z - mu).square() / logvar.exp()).sum(-1)


class LogMeanExp:
    """log (1/S sum exp w) over samples that arrive in pieces, for ``[N]`` examples (Burda 2016, Eq. 8)."""

    def __init__(self) -> None:
        self._total: Tensor | None = None
        self._count = 0

    def add(self, log_weights: Tensor) -> None:
        """Takes more log-weights ``[N, s]``."""
        piece = torch.logsumexp(log_weights.double(), dim=-1)
        self._total = piece if self._total is None else torch.logaddexp(self._total, piece)
        self._count += log_weights.shape[-1]

    def value(self) -> Tensor:
        """The log of the mean weight so far, ``[N]`` in float64."""
        assert self._total is not None
        return self._total - math.log(self._count)


def mutual_information(mu: Tensor, logvar: Tensor, eps: Tensor) -> float:
    """I(x; z) under the encoder, in nats: how much a code tells of its example.

    KL(q(z|x) || q(z)) with one sample an example and the aggregated posterior q(z) as the mixture of all N posteriors
    (Hoffman and Johnson 2016); at most log N, which it reaches where every example has a code of its own.

    Args:
        mu, logvar: the posteriors ``[N, Z]``. eps: standard normals ``[N, Z]``.
    """
    z = mu + torch.exp(0.5 * logvar) * eps
    own = log_normal(z, mu, logvar)
    mixture = LogMeanExp()
    for start in range(0, len(mu), MIXTURE_CHUNK):
        part = slice(start, start + MIXTURE_CHUNK)
        mixture.add(log_normal(z[:, None], mu[None, part], logvar[None, part]))
    return float((own - mixture.value()).mean())


def failure_class(*, nelbo: float, initial: float, trivial: float, kl: float, active: float) -> Failure:
    """The failure class by rule (protocol, rule 7), from evaluation at beta = 1.

    ``diverged``: not finite, or worse than before training. ``collapsed``: no active unit, or KL below 0.1 nat, or
    within 1 nat of L_trivial, the best constant decoder with KL 0.
    """
    if not math.isfinite(nelbo) or nelbo > initial:
        return "diverged"
    if active == 0 or kl < COLLAPSE_KL_NATS or nelbo >= trivial - COLLAPSE_MARGIN_NATS:
        return "collapsed"
    return "none"
