"""Small tasks and settings that several tests train on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from vaestudy.data import Examples, load
from vaestudy.distributions import Likelihood, likelihoods
from vaestudy.models import models
from vaestudy.optimizers import optimizers
from vaestudy.population import Member, Population, Task
from vaestudy.seeding import Seeds
from vaestudy.spec import Settings, Train
from vaestudy.timeline import Timeline


def random_task(
    rows: int = 96,
    pixels: int = 12,
    batch: int = 16,
    dynamic: bool = True,
    seed: int = 0,
    likelihood: Likelihood | None = None,
    model: str = "mlp",
    dtype: torch.dtype = torch.float32,
    **arguments: Any,
) -> Task:
    """A task on structured random binary means, small enough to train in milliseconds."""
    generator = torch.Generator().manual_seed(seed)
    prototypes = torch.rand(3, pixels, generator=generator, dtype=dtype).round() * 0.9 + 0.05
    means = prototypes[torch.randint(3, (rows + 32,), generator=generator)]
    binary = torch.bernoulli(means, generator=generator)
    train = means[:rows] if dynamic else binary[:rows]
    examples = Examples(train, binary[rows:], dynamic, (3, pixels // 3))
    arguments = arguments or {"hidden": (8,), "latent_dim": 3}
    made = models.find(model).component(pixels, **arguments)
    return Task(examples, made, likelihood or likelihoods.find("bernoulli").component(), batch)


def digits_task(hidden: tuple[int, ...] = (32,), latent_dim: int = 5, batch: int = 64) -> Task:
    """The bundled digits, dynamically binarised."""
    examples = load("digits", Path(), binarize="dynamic", seed=0, validation=300)
    model = models.find("mlp").component(examples.data_dim, hidden=hidden, latent_dim=latent_dim)
    return Task(examples, model, likelihoods.find("bernoulli").component(), batch)


def settings(optimizer: str = "adam", epochs: int = 4, train: dict[str, Any] | None = None, **given: Any) -> Settings:
    """An optimizer's published defaults, overlaid; of what has none a usual value."""
    schema = optimizers.find(optimizer).hyperparameters
    values = {name: entry.default for name, entry in schema.items()}
    if optimizer == "ivon":
        values |= {"lr": 0.1, "ess": 96.0}
    whole = Train.model_validate_json(json.dumps({"epochs": epochs, **(train or {})}))
    return Settings(optimizer=optimizer, hyperparameters={**values, **given}, train=whole)


def populate(task: Task, members: list[tuple[int, Settings]], dtype: torch.dtype = torch.float32) -> Population:
    """A population of members given as (seed, settings)."""
    made = optimizers.find(members[0][1].optimizer).component(task.model.layout)
    population = Population(task, made, dtype)
    for seed, chosen in members:
        population.add(Member(Seeds.same(seed), chosen, Timeline(chosen, chosen.train.epochs * task.steps_per_epoch)))
    return population
