"""Training traces in float64: fifty updates of two members with everything on, and their evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.tasks import populate, random_task, settings
from vaestudy.evaluation import Evaluator
from vaestudy.optimizers import optimizers

FOLDER = Path(__file__).parent / "traces"
UPDATES = 50
EVALUATION_SEED = 11
FROZEN = "adam-frozen"
"""The trace with a stage that freezes a part; the others freeze nothing."""

NATIVE = tuple(entry.name for entry in optimizers if not entry.name.startswith("torch."))
TRACES = (*NATIVE, FROZEN)

FIRST: dict[str, Any] = {
    "beta": {"schedule": "linear", "start": 0.1, "end": 1.0, "over": 0.4},
    "free_bits": {"nats": 0.05, "per": "dimension", "average": "batch"},
    "stages": [{"name": "reconstruct", "share": 0.2, "beta": 0.0}, {"name": "joint"}],
    "schedule": "cosine",
    "final_lr_ratio": 0.1,
    "warmup": 0.1,
    "clip_norm": 1.0,
    "ema": 0.9,
    "decoder_lr_ratio": 0.5,
}
SECOND: dict[str, Any] = {
    "beta": {"schedule": "cyclical", "start": 0.0, "end": 0.8, "over": 0.5, "cycles": 2},
    "free_bits": {"nats": 0.2, "per": "group", "groups": 2, "average": "example"},
    "stages": [{"name": "reconstruct", "share": 0.3, "beta": 0.0}, {"name": "joint"}],
    "schedule": "linear",
    "final_lr_ratio": 0.05,
    "warmup": 0.2,
    "clip_norm": 0.5,
    "ema": 0.8,
    "decoder_lr_ratio": 2.0,
}
FREEZING = {
    "stages": [{"name": "hold", "share": 0.3, "freeze": "encoder"}, {"name": "rest", "freeze": "none"}],
}
"""In the place of both members' stages, in the trace with a frozen part."""

GIVEN: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "sgd": ({"lr": 0.1, "weight_decay": 0.01}, {"lr": 0.3, "weight_decay": 0.0}),
    "momentum": ({"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}, {"lr": 0.1, "momentum": 0.5}),
    "nesterov": ({"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}, {"lr": 0.1, "momentum": 0.5}),
    "adam": (
        {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.01},
        {"lr": 0.03, "beta1": 0.8, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.0},
    ),
    "adamw": (
        {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.1},
        {"lr": 0.03, "beta1": 0.8, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.0},
    ),
    "rmsprop": (
        {"lr": 0.01, "alpha": 0.95, "eps": 1e-6, "momentum": 0.5, "weight_decay": 0.01},
        {"lr": 0.02, "alpha": 0.9, "eps": 1e-8, "momentum": 0.0, "weight_decay": 0.0},
    ),
    "ivon": (
        {"lr": 0.1, "ess": 80.0, "hess_init": 2.0, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.01},
        {"lr": 0.2, "ess": 160.0, "hess_init": 1.0, "beta1": 0.8, "beta2": 0.999, "weight_decay": 0.001},
    ),
}
"""Both members' hyperparameters; an optimizer that is not here is traced at its defaults."""

Trace = dict[str, Any]


def trace(name: str, change: Mapping[str, Any] | None = None) -> Trace:
    """The trace called ``name``, with ``change`` over both members' training."""
    optimizer = name.removesuffix("-frozen")
    freezing = FREEZING if name == FROZEN else {}
    task = random_task(rows=80, pixels=12, batch=16, seed=3, dtype=torch.float64, hidden=(6,), latent_dim=4)
    chosen = [
        settings(optimizer, UPDATES // task.steps_per_epoch, {**train, **freezing, **(change or {})}, **given)
        for train, given in zip((FIRST, SECOND), GIVEN.get(optimizer, ({}, {})), strict=True)
    ]
    population = populate(task, list(enumerate(chosen, start=1)), torch.float64)
    losses = population.train(UPDATES)
    scores = Evaluator(task, task.examples.validation, EVALUATION_SEED).scores(population.eval_params())
    return {
        f"member{k}": {
            "losses": losses[k].tolist(),
            "params": fingerprint(population.save(k)["params"]),
            "ema": fingerprint(population.save(k)["ema"]) if population.save(k)["ema"] is not None else {},
            "score": asdict(score),
        }
        for k, score in enumerate(scores)
    }


def fingerprint(params: Tensor) -> dict[str, Any]:
    """A member's parameters ``[P]`` in a few numbers."""
    return {
        "sum": float(params.sum()),
        "squares": float((params * params).sum()),
        "entries": params[:: max(1, len(params) // 6)].tolist(),
    }


def flat(tree: Any, path: str = "") -> dict[str, float]:
    """Every number of a trace by its path."""
    return dict(_numbers(tree, path))


def _numbers(tree: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(tree, (dict, list)):
        for key, inner in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _numbers(inner, f"{path}.{key}".strip("."))
    else:
        yield path, tree


def stored(name: str) -> Trace:
    loaded: Trace = json.loads((FOLDER / f"{name}.json").read_text())
    return loaded


def files() -> dict[str, str]:
    """Every trace as the text of its file."""
    return {f"{name}.json": json.dumps(trace(name), indent=1) + "\n" for name in TRACES}
