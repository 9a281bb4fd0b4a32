"""How runs are judged: always at beta = 1, without free bits, with the same noise for everybody (protocol, rule 1).

Letters: K members, N examples, D pixels, Z latent dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaestudy.metrics import LogMeanExp, active_units, log_normal, mutual_information
from vaestudy.objectives import gaussian_rate, reparameterise
from vaestudy.population import Task
from vaestudy.seeding import Stream, mix

CHUNK = 512
MIXTURE_EXAMPLES = 1000
SAMPLE_ROWS = 4096
"""Rows decoded at once in the importance-weighted bound: examples times samples."""


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
    """Judges members on one set of examples ``[N, D]`` with evaluation noise fixed by ``seed``."""

    def __init__(self, task: Task, x: Tensor, seed: int):
        self._task = task
        self._x = x
        self._seed = seed
        generator = torch.Generator().manual_seed(mix(seed, Stream.EVALUATE.name, 0))
        self._eps = torch.randn(len(x), task.model.latent_dim, generator=generator, dtype=x.dtype).to(x.device)

    @property
    def trivial(self) -> float:
        """L_trivial on these examples, nats per example."""
        return self._task.likelihood.trivial(self._x)

    @torch.no_grad()
    def scores(self, params: Mapping[str, Tensor]) -> list[Score]:
        """One score per member, from named parameters ``[K, *shape]``."""
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
    def mutual_information(self, params: Mapping[str, Tensor]) -> float:
        """I(x; z) of a single member's parameters ``[1, *shape]`` on at most ``MIXTURE_EXAMPLES`` examples; nats."""
        x, eps = self._x[:MIXTURE_EXAMPLES], self._eps[:MIXTURE_EXAMPLES]
        mu, logvar = self._task.model.encode(params, x[None])
        return mutual_information(mu[0], logvar[0], eps)

    @torch.no_grad()
    def nll(self, params: Mapping[str, Tensor], samples: int) -> float:
        """The importance-weighted bound on -log p(x) with ``samples`` samples, of a single member's parameters
        ``[1, *shape]``; nats per example (Burda 2016, Eq. 8)."""
        return -float(self._log_likelihoods(params, samples, 0).mean())

    @torch.no_grad()
    def averaged_nll(self, draws: Sequence[Mapping[str, Tensor]], samples: int) -> float:
        """The same bound where p(x) is averaged over draws of the weights, ``samples`` in all."""
        mixture = LogMeanExp()
        for number, params in enumerate(draws):
            mixture.add(self._log_likelihoods(params, max(1, samples // len(draws)), number)[:, None])
        return -float(mixture.value().mean())

    def _log_likelihoods(self, params: Mapping[str, Tensor], samples: int, draw: int) -> Tensor:
        """The bound on log p(x) of each example, ``[N]`` in float64; each ``draw`` has its own noise."""
        generator = torch.Generator(device=self._x.device).manual_seed(
            mix(self._seed, Stream.EVALUATE.name, 1 + 2 * draw)
        )
        rows = max(1, SAMPLE_ROWS // min(samples, 64))
        return torch.cat([self._log_likelihood(params, x, samples, generator) for x in torch.split(self._x, rows)])

    def _log_likelihood(
        self, params: Mapping[str, Tensor], x: Tensor, samples: int, generator: torch.Generator
    ) -> Tensor:
        mu, logvar = self._task.model.encode(params, x[None])
        estimate = LogMeanExp()
        left = samples
        while left > 0:
            count = min(left, max(1, SAMPLE_ROWS // len(x)))
            eps = torch.randn(count, *mu.shape[1:], generator=generator, device=x.device, dtype=x.dtype)
            z = reparameterise(mu, logvar, eps)
            output = self._task.model.decode(params, z.reshape(1, -1, z.shape[-1])).view(count, len(x), -1)
            weights = log_normal(z) - log_normal(z, mu, logvar) - self._task.likelihood.distortion(output, x)
            estimate.add(weights.T)
            left -= count
        return estimate.value()


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
    generator = torch.Generator(device=x.device).manual_seed(mix(seed, Stream.EVALUATE.name, 2))
    z = torch.randn(1, samples, task.model.latent_dim, generator=generator, device=x.device, dtype=x.dtype)
    mean = task.likelihood.mean
    return Pictures(x.cpu(), mean(task.model.decode(params, mu))[0].cpu(), mean(task.model.decode(params, z))[0].cpu())
