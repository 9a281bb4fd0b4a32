"""The plain PyTorch loop, as a good practitioner writes it: a rival, and the rival study's training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.cases import HYPERPARAMETERS, Case, Round


class Vae(nn.Module):
    """A VAE with one hidden layer on each side."""

    def __init__(self, pixels: int, hidden: int, latent_dim: int):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU())
        self.mu = nn.Linear(hidden, latent_dim)
        self.logvar = nn.Linear(hidden, latent_dim)
        self.decoder = nn.Sequential(nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, pixels), nn.Sigmoid())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.encoder(x)
        mu, logvar = self.mu(hidden), self.logvar(hidden)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        return self.decoder(z), mu, logvar


def negative_elbo(output: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Nats per image."""
    distortion = F.binary_cross_entropy(output, x, reduction="sum")
    rate = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (distortion + rate) / len(x)


def train_epoch(model: Vae, loader: Iterable[list[Tensor]], optimizer: torch.optim.Optimizer) -> float:
    """One pass over the data; the mean loss."""
    total, batches = 0.0, 0
    for (x,) in loader:
        optimizer.zero_grad()
        output, mu, logvar = model(x)
        loss = negative_elbo(output, x, mu, logvar)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item()
        batches += 1
    return total / batches


def train_epoch_ivon(model: Vae, loader: Iterable[list[Tensor]], optimizer: torch.optim.Optimizer) -> float:
    """One pass over the data as IVON's authors write it: the loss at a sample of the weights."""
    total, batches = 0.0, 0
    for (x,) in loader:
        with optimizer.sampled_params(train=True):  # type: ignore[attr-defined]
            optimizer.zero_grad()
            output, mu, logvar = model(x)
            loss = negative_elbo(output, x, mu, logvar)
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item()
        batches += 1
    return total / batches


def make_optimizer(method: str, parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of that name with PyTorch's defaults, or its authors'."""
    given = HYPERPARAMETERS[method]
    if method == "ivon":
        from ivon import IVON  # only this method's rival needs it

        made: torch.optim.Optimizer = IVON(parameters, **given)
        return made
    classes: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "momentum": torch.optim.SGD,
        "rmsprop": torch.optim.RMSprop,
    }
    return classes[method](parameters, **given)


class PlainLoop:
    """The contender."""

    def __init__(self, case: Case, method: str, images: Tensor):
        torch.manual_seed(0)  # the same start in every run; the clock decides nothing of the losses
        self._case = case
        self._model = Vae(images.shape[1], case.hidden, case.latent_dim)
        self._optimizer = make_optimizer(method, self._model.parameters())
        self._loader = DataLoader(TensorDataset(images), batch_size=case.batch_size, shuffle=True, drop_last=True)
        self._train_epoch = train_epoch_ivon if method == "ivon" else train_epoch

    def turn(self) -> Round:
        start = time.perf_counter()
        losses = [self._train_epoch(self._model, self._loader, self._optimizer) for _ in range(self._case.epochs)]
        return Round(time.perf_counter() - start, self._case.steps, sum(losses) / len(losses))
