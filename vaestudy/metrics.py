"""What a trained VAE is judged by: functions of per-example terms, in nats per example.

Letters: K members, N examples, S importance samples, Z latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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

NOWOZIN = Source(
    "nowozin2018debiasing",
    "Nowozin, Sebastian",
    "Debiasing Evidence Approximations: On Importance-weighted Autoencoders and Jackknife Variational Inference",
    2018,
    "ICLR 2018, https://openreview.net/forum?id=HyZoi-WRb",
)

ACTIVE_VARIANCE = 0.01
"""A latent dimension is active where Var_x(E_q[z]) exceeds this (Burda 2016, Section 5.2)."""

MIXTURE_CHUNK = 128
"""Codes that are compared with all posteriors at once."""

COLLAPSE_KL_NATS = 0.1
COLLAPSE_MARGIN_NATS = 1.0
"""What is not better than the constant decoder by this much has learned no more than it."""

BLOCKS = 100


def active_units(mu: Tensor) -> Tensor:
    """The number of active dimensions ``[K]``, from posterior means ``[K, N, Z]``."""
    return (mu.var(dim=1, correction=0) > ACTIVE_VARIANCE).sum(-1)


def log_normal(z: Tensor, mu: Tensor | float = 0.0, logvar: Tensor | float = 0.0) -> Tensor:
    """log N(z; mu, diag exp(logvar)) summed over the last axis, nats."""
    logvar = torch.as_tensor(logvar, dtype=z.dtype, device=z.device)
    return -0.5 * (math.log(2 * math.pi) + logvar + (z - mu).square() / logvar.exp()).sum(-1)


def log_mean_exp(log_weights: Tensor) -> Tensor:
    """log (1/S sum exp w) over the last axis; of log p(x, z) - log q(z|x), S of them, the importance-weighted bound on
    log p(x) (Burda 2016, Eq. 8)."""
    return torch.logsumexp(log_weights, dim=-1) - math.log(log_weights.shape[-1])


def bound_bias(log_weights: Tensor) -> Tensor:
    """How far the importance-weighted bound of S log-weights ``[..., S]`` is still below log p(x), ``[...]``, nats.

    The distance falls as 1/S (Nowozin 2018, Proposition 1), so the bounds of the two halves are twice as far away as
    that of the whole, and their mean, weighted by their sizes, differs from it by what is sought. Never negative; NaN
    for S = 1.

    It is told of the true distance at S = 10, 100, 1000: with the encoder of a linear VAE 1.7 times too wide 1.25, 1.05
    and 1.0; 0.7 times too wide, so that weights have heavy tails and the distance falls more slowly, 0.5, 0.6 and 0.9;
    too wide in one dimension, too narrow in the other, with means off as well, 0.4. On digits 0.6, 0.7 and 0.7.
    """
    samples = log_weights.shape[-1]
    if samples == 1:
        return torch.full_like(log_weights[..., 0], math.nan)
    halves = log_weights.tensor_split(2, dim=-1)
    return log_mean_exp(log_weights) - sum(half.shape[-1] / samples * log_mean_exp(half) for half in halves)


class LogMeanExp:
    """``log_mean_exp`` of log-weights that arrive in pieces, for ``[N]`` examples."""

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
    mu, logvar, eps = mu.double(), logvar.double(), eps.double()  # the squares below are large and nearly cancel
    z = mu + torch.exp(0.5 * logvar) * eps
    precision = torch.exp(-logvar)
    constant = logvar.sum(-1) + (mu.square() * precision).sum(-1)
    told = []
    for start in range(0, len(z), MIXTURE_CHUNK):
        part = z[start : start + MIXTURE_CHUNK]
        # log q(z_i|x_j) + Z/2 log 2 pi, its square multiplied out: a product of matrices in the place of N^2 Z terms.
        log_q = part @ (mu * precision).T - 0.5 * (part.square() @ precision.T + constant)
        told.append(log_q.diagonal(start) - log_mean_exp(log_q))
    return float(torch.cat(told).mean())


def blocks(scores: Tensor) -> list[float]:
    """Scores of test examples ``[N]`` as G = min(100, N) numbers whose plain mean is the scores' mean.

    Example i belongs to block i mod G, whose number is G/N times the sum of its scores. The variance of the numbers
    over G estimates the variance of the mean under other test examples.
    """
    count = min(BLOCKS, len(scores))
    block = torch.arange(len(scores)) % count
    sums = torch.zeros(count, dtype=torch.float64).index_add_(0, block, scores.double().cpu())
    return [float(number) for number in sums * (count / len(scores))]


def failure_class(
    steps: Sequence[int], nelbo: Sequence[float], *, above_trivial: float, kl: float, active: float
) -> Failure:
    """The failure class by rule (protocol, rule 7), from evaluations at beta = 1; the first that applies.

    ``diverged``: L_val is not finite at the end, or above its value before training after having been below it.
    ``collapsed``: KL below 0.1 nat or no active unit, and not 1 nat better than the constant decoder.
    ``undertrained``: not 1 nat better than the constant decoder, or L_val not below its value before training, or still
    falling: from the last evaluation before the last tenth of the updates to the end L_val fell at least at its average
    rate since the start. Without an evaluation between the start and the last tenth it is not said to fall still.

    Args:
        steps: the updates done at each evaluation, rising; the first is before training, or where L_val is first
            finite, the last at the end.
        nelbo: L_val there, nats per example.
        above_trivial: by how much the -ELBO at the end exceeds L_trivial, that of the constant decoder fitted on
            training data, on the same examples; nats per example.
        kl: nats per example; active: active units; both at the end.
    """
    initial, last = nelbo[0], nelbo[-1]
    if not math.isfinite(last) or (last > initial and min(nelbo) < initial):
        return "diverged"
    as_trivial = above_trivial >= -COLLAPSE_MARGIN_NATS
    if as_trivial and (kl < COLLAPSE_KL_NATS or active == 0):
        return "collapsed"
    if as_trivial or last >= initial or _still_falls(steps, nelbo):
        return "undertrained"
    return "none"


def _still_falls(steps: Sequence[int], nelbo: Sequence[float]) -> bool:
    end = steps[-1]
    before = max((index for index, step in enumerate(steps) if 10 * step <= 9 * end), default=0)
    fall, whole = nelbo[before] - nelbo[-1], nelbo[0] - nelbo[-1]
    return before > 0 and fall * (end - steps[0]) >= whole * (end - steps[before])
