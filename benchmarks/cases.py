"""What is measured: one net on one data set, the same for every contender."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from vaestudy import data
from vaestudy.data import Examples
from vaestudy.distributions import likelihoods
from vaestudy.models import models
from vaestudy.population import Task


@dataclass(frozen=True)
class Case:
    """A one-hidden-layer VAE on statically binarised images.

    Attributes:
        examples: training images, a whole number of batches, so that every contender makes the same updates an epoch.
        epochs: of one round of one trial.
    """

    data: str
    hidden: int
    latent_dim: int
    batch_size: int
    examples: int
    validation: int
    epochs: int

    @property
    def name(self) -> str:
        pixels = 64 if self.data == "digits" else 784
        return f"{pixels}-{self.hidden}-{self.latent_dim}, batch {self.batch_size}"

    @property
    def steps(self) -> int:
        """Updates of one round of one trial."""
        return self.epochs * (self.examples // self.batch_size)

    def task(self) -> Task:
        """The case as vaestudy trains it."""
        examples = self._load()
        model = models.find("mlp").component(examples.data_dim, hidden=(self.hidden,), latent_dim=self.latent_dim)
        return Task(examples, model, likelihoods.find("bernoulli").component(), self.batch_size)

    def _load(self) -> Examples:
        return data.load(
            self.data, data.data_folder(), binarize="static", seed=0, validation=self.validation, limit=self.examples
        )


MNIST = Case("mnist", hidden=400, latent_dim=20, batch_size=128, examples=12_800, validation=2_000, epochs=1)
DIGITS = Case("digits", hidden=128, latent_dim=10, batch_size=64, examples=1_152, validation=300, epochs=30)

HYPERPARAMETERS: Mapping[str, Mapping[str, float]] = {
    "adam": {"lr": 1e-3},
    "momentum": {"lr": 1e-3, "momentum": 0.9},
    "rmsprop": {"lr": 1e-3},
    "ivon": {"lr": 1e-4, "ess": 12_800.0},
}
"""What every contender is given; the rest is its default."""


@dataclass(frozen=True)
class Round:
    """What one contender did in its turn.

    Attributes:
        trial_steps: updates times members. loss: mean over the turn's updates, nats per image.
    """

    seconds: float
    trial_steps: int
    loss: float

    @property
    def rate(self) -> float:
        """Trial-steps a second."""
        return self.trial_steps / self.seconds


def train_images(task: Task) -> Tensor:
    """The training images ``[N, D]`` that every contender sees."""
    return task.examples.train
