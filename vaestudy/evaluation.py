"""How runs are judged: always at beta = 1, without free bits, with the same noise for everybody (protocol, rule 1).

Letters: K members, N examples, D pixels, S samples, Z latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, unique

import torch
from torch import Tensor

from vaestudy.metrics import LogMeanExp, active_units, bound_bias, log_mean_exp, log_normal, mutual_information
from vaestudy.objectives import gaussian_rate, reparameterise
from vaestudy.population import Task
from vaestudy.seeding import Stream, mix

CHUNK = 512
SAMPLE_ROWS = 4096
"""Rows decoded at once: examples times samples."""

MIXTURE_EXAMPLES = 2000
"""That mutual information is measured on; the work grows with the square. Of digits (KL 5 nats) 300 examples show 0.4
nat too little, 1,500 what 10,000 show, to 0.05 nat."""

SAMPLES_PER_DRAW = 5
"""Importance samples of each draw of the weights. Of 2,000 in all, 400 draws of 5 tell what averaging over the weights
of a digits run brings with a standard deviation of 0.004 nat, 20 draws of 100 with 0.012."""


@unique
class Use(IntEnum):
    """What evaluation noise is drawn for; each use has its own."""

    SCORES = 0
    BOUND = 1
    PICTURES = 2
    TERMS = 3
    WEIGHTS = 4
    INFORMATION = 5


@dataclass(frozen=True)
class Samples:
    """On how many random draws the test scores of a run rest.

    Attributes:
        elbo: draws of z for the -ELBO. iwae: importance samples of the bound on -log p(x).
        weight_draws: draws of the decoder's weights, with ``SAMPLES_PER_DRAW`` importance samples each, for the bound
            that is averaged over a posterior of the weights.
    """

    elbo: int
    iwae: int
    weight_draws: int


@dataclass(frozen=True)
class Score:
    """One member's evaluation, in nats per example.

    Attributes:
        nelbo: distortion + rate, the negative ELBO. kl_per_dimension: the rate by latent dimension, ``[Z]``.
    """

    nelbo: float
    distortion: float
    kl: float
    active_units: int
    kl_per_dimension: list[float]


class Evaluator:
    """Judges members on one set of examples ``[N, D]`` with evaluation noise fixed by ``seed``.

    What takes the parameters of a single member takes them as ``[1, *shape]``.
    """

    def __init__(self, task: Task, x: Tensor, seed: int):
        self._task = task
        self._x = x
        self._seed = seed
        generator = _generator(seed, Use.SCORES, torch.device("cpu"))
        self._eps = torch.randn(len(x), task.model.latent_dim, generator=generator, dtype=x.dtype).to(x.device)

    @property
    def trivial(self) -> float:
        """L_trivial on these examples, nats per example, of the constant decoder fitted on the training examples."""
        return self._task.likelihood.trivial(self._task.examples.train, self._x)

    @torch.no_grad()
    def scores(self, params: Mapping[str, Tensor]) -> list[Score]:
        """One score per member, from named parameters ``[K, *shape]``: of one draw of z an example, always the same."""
        members = len(next(iter(params.values())))
        distortion = torch.zeros(members, dtype=torch.float64)
        rate = torch.zeros(members, self._task.model.latent_dim, dtype=torch.float64)
        means = []
        for x, eps in zip(torch.split(self._x, CHUNK), torch.split(self._eps, CHUNK), strict=True):
            mu, logvar = self._task.model.encode(params, x.expand(members, -1, -1))
            output = self._task.model.decode(params, reparameterise(mu, logvar, eps))
            distortion += self._task.likelihood.distortion(output, x).sum(-1).double().cpu()
            rate += gaussian_rate(mu, logvar).sum(1).double().cpu()
            means.append(mu)
        units = active_units(torch.cat(means, dim=1)).tolist()
        count = len(self._x)
        return [
            Score(float(d + r.sum()) / count, float(d) / count, float(r.sum()) / count, u, (r / count).tolist())
            for d, r, u in zip(distortion, rate, units, strict=True)
        ]

    @torch.no_grad()
    def terms(self, params: Mapping[str, Tensor], draws: int) -> tuple[Tensor, Tensor]:
        """Both terms of a single member's -ELBO: the distortion, a mean over ``draws`` of z, and the rate, which is
        exact; of each example, ``[N]`` in float64, nats."""
        generator = self._generator(Use.TERMS)
        distortions, rates = [], []
        for x in torch.split(self._x, CHUNK):
            mu, logvar = self._task.model.encode(params, x[None])
            pieces = [self._distortion(params, z, x) for z in _codes(mu, logvar, draws, generator)]
            distortions.append(torch.cat(pieces).double().mean(0))
            rates.append(gaussian_rate(mu[0].double(), logvar[0].double()).sum(-1))
        return torch.cat(distortions), torch.cat(rates)

    @torch.no_grad()
    def bound(self, params: Mapping[str, Tensor], samples: int) -> tuple[Tensor, Tensor]:
        """The importance-weighted bound on -log p(x) with ``samples`` samples of a single member (Burda 2016, Eq. 8),
        and how far it is still above (``metrics.bound_bias``); of each example, ``[N]`` in float64, nats."""
        generator = self._generator(Use.BOUND)
        bounds, biases = [], []
        for x in torch.split(self._x, max(1, SAMPLE_ROWS // min(samples, 64))):
            mu, logvar = self._task.model.encode(params, x[None])
            pieces = [self._log_weights(params, mu, logvar, z, x) for z in _codes(mu, logvar, samples, generator)]
            log_weights = torch.cat(pieces).T
            bounds.append(-log_mean_exp(log_weights))
            biases.append(bound_bias(log_weights))
        return torch.cat(bounds), torch.cat(biases)

    @torch.no_grad()
    def over_weights(self, mean: Mapping[str, Tensor], draws: Iterable[Mapping[str, Tensor]]) -> tuple[float, float]:
        """The bound on -log p(x) of a single member where p(x) is averaged over draws of the decoder's weights, and
        where the decoder is at their mean; nats per example.

        The encoder is at the mean and both decode the same codes, ``SAMPLES_PER_DRAW`` an example for each draw, so
        that what differs is the decoder alone.
        """
        generator = self._generator(Use.WEIGHTS)
        chunks = [(x, *self._task.model.encode(mean, x[None])) for x in torch.split(self._x, CHUNK)]
        averaged, at_mean = ([LogMeanExp() for _ in chunks] for _ in range(2))
        for drawn in draws:
            for i, (x, mu, logvar) in enumerate(chunks):
                for z in _codes(mu, logvar, SAMPLES_PER_DRAW, generator):
                    averaged[i].add(self._log_weights(drawn, mu, logvar, z, x).T)
                    at_mean[i].add(self._log_weights(mean, mu, logvar, z, x).T)
        return _nll(averaged), _nll(at_mean)

    def _log_weights(self, params: Mapping[str, Tensor], mu: Tensor, logvar: Tensor, z: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) + log p(z) - log q(z|x) of codes ``[S, N, Z]``, ``[S, N]`` in float64."""
        return (log_normal(z) - log_normal(z, mu, logvar) - self._distortion(params, z, x)).double()

    def _distortion(self, params: Mapping[str, Tensor], z: Tensor, x: Tensor) -> Tensor:
        """-log p(x|z) of codes ``[S, N, Z]`` of examples ``[N, D]``, ``[S, N]``."""
        output = self._task.model.decode(params, z.reshape(1, -1, z.shape[-1])).view(*z.shape[:2], -1)
        return self._task.likelihood.distortion(output, x)

    def _generator(self, use: Use) -> torch.Generator:
        return _generator(self._seed, use, self._x.device)


def _generator(seed: int, use: Use, device: torch.device) -> torch.Generator:
    return torch.Generator(device=device).manual_seed(mix(seed, Stream.EVALUATE.name, use.value))


def _nll(estimates: Iterable[LogMeanExp]) -> float:
    return -float(torch.cat([estimate.value() for estimate in estimates]).mean())


def _codes(mu: Tensor, logvar: Tensor, samples: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Samples of the posteriors ``[1, N, Z]``, in pieces ``[s, N, Z]`` of at most ``SAMPLE_ROWS`` rows."""
    most = max(1, SAMPLE_ROWS // mu.shape[1])
    for first in range(0, samples, most):
        count = min(most, samples - first)
        eps = torch.randn(count, *mu.shape[1:], generator=generator, device=mu.device, dtype=mu.dtype)
        yield reparameterise(mu, logvar, eps)


@torch.no_grad()
def information(task: Task, params: Mapping[str, Tensor], seed: int) -> tuple[float, float]:
    """I(x; z) of one member ``[1, *shape]``, and the most that so many examples can show, log N; nats.

    The examples, codes and mixture alike, are the validation part and, where that has fewer than
    ``MIXTURE_EXAMPLES``, training examples, binarised by a fixed draw where training binarises them anew.
    """
    held, train = task.examples.validation[:MIXTURE_EXAMPLES], task.examples.train
    train = train[: MIXTURE_EXAMPLES - len(held)]
    generator = _generator(seed, Use.INFORMATION, held.device)
    x = torch.cat([held, torch.bernoulli(train, generator=generator) if task.examples.dynamic else train])
    mu, logvar = task.model.encode(params, x[None])
    eps = torch.randn(mu.shape[1:], generator=generator, device=x.device, dtype=x.dtype)
    return mutual_information(mu[0], logvar[0], eps), math.log(len(x))


@dataclass(frozen=True)
class Pictures:
    """Images in [0, 1] that show what one member learned: ``[n, D]`` each."""

    originals: Tensor
    reconstructions: Tensor
    samples: Tensor


@torch.no_grad()
def pictures(task: Task, params: Mapping[str, Tensor], x: Tensor, seed: int, samples: int = 64) -> Pictures:
    """Reconstructions of ``x`` from posterior means, and means of prior samples, of one member ``[1, *shape]``."""
    mu, _ = task.model.encode(params, x[None])
    generator = _generator(seed, Use.PICTURES, x.device)
    z = torch.randn(1, samples, task.model.latent_dim, generator=generator, device=x.device, dtype=x.dtype)
    mean = task.likelihood.mean
    return Pictures(x.cpu(), mean(task.model.decode(params, mu))[0].cpu(), mean(task.model.decode(params, z))[0].cpu())
