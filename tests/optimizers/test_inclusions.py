"""What an optimizer is said to contain it becomes, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.optimizers.references import quadratic
from tests.steps import made
from vaestudy.optimizers import optimizers
from vaestudy.testing.walks import LAYOUT, gradient, hyperparameters

STEPS = 30
LR, DECAY = 0.02, 0.8
FAR = 1e9
"""An eps far above any gradient: what is left of 1 / (root + eps) is 1 / eps to nine digits."""

MOMENTUM = {"lr": LR, "momentum": DECAY}
LIMIT = {"lr": LR * FAR, "eps": FAR}
Rate = Callable[[int], float]


def corrected(t: int) -> float:
    """What the correction of Adam's first moment does to momentum's rate at step t."""
    return 1 / (1 - DECAY**t)


def unchanged(t: int) -> float:
    return 1.0


HEAVY = {"lr": LR / (1 - DECAY), "beta1": DECAY}
"""Adam's rate and decay for momentum's: its first moment is an average, momentum's a sum."""
HEAVY_LIMIT = {**HEAVY, "lr": HEAVY["lr"] * FAR, "eps": FAR}

CASES: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any], Rate]] = {
    ("momentum", "sgd"): ({"lr": LR, "momentum": 0.0}, {"lr": LR}, unchanged),
    ("nesterov", "sgd"): ({"lr": LR, "momentum": 0.0}, {"lr": LR}, unchanged),
    ("adam", "sgd"): ({**LIMIT, "beta1": 0.0}, {"lr": LR}, unchanged),
    ("adam", "momentum"): (HEAVY_LIMIT, MOMENTUM, corrected),
    ("adamw", "sgd"): ({**LIMIT, "beta1": 0.0, "weight_decay": 0.0}, {"lr": LR}, unchanged),
    ("adamw", "momentum"): ({**HEAVY_LIMIT, "weight_decay": 0.0}, MOMENTUM, corrected),
    ("adamw", "adam"): ({"lr": LR, "weight_decay": 0.0}, {"lr": LR}, unchanged),
    ("rmsprop", "sgd"): (LIMIT, {"lr": LR}, unchanged),
    ("rmsprop", "momentum"): ({**LIMIT, "momentum": DECAY}, MOMENTUM, unchanged),
    ("torch.SGD", "sgd"): ({"lr": LR}, {"lr": LR}, unchanged),
    ("torch.SGD", "momentum"): (MOMENTUM, MOMENTUM, unchanged),
    ("torch.SGD", "nesterov"): ({**MOMENTUM, "nesterov": True}, MOMENTUM, unchanged),
    ("torch.ASGD", "sgd"): ({"lr": LR, "lambd": 0.0}, {"lr": LR}, unchanged),
    ("torch.RMSprop", "sgd"): (LIMIT, {"lr": LR}, unchanged),
    ("torch.RMSprop", "momentum"): ({**LIMIT, "momentum": DECAY}, MOMENTUM, unchanged),
    ("torch.RMSprop", "rmsprop"): ({"lr": LR, "alpha": 0.9}, {"lr": LR, "alpha": 0.9}, unchanged),
    **{
        case: values
        for name in ("torch.Adam", "torch.AdamW")
        for case, values in {
            (name, "sgd"): ({**LIMIT, "beta1": 0.0, "weight_decay": 0.0}, {"lr": LR}, unchanged),
            (name, "momentum"): ({**HEAVY_LIMIT, "weight_decay": 0.0}, MOMENTUM, corrected),
            (name, "adam"): ({"lr": LR, "weight_decay": 0.0}, {"lr": LR}, unchanged),
        }.items()
    },
    ("torch.Adam", "adamw"): (
        {"lr": LR, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"lr": LR, "weight_decay": 0.1},
        unchanged,
    ),
    ("torch.AdamW", "adamw"): ({"lr": LR, "weight_decay": 0.1}, {"lr": LR, "weight_decay": 0.1}, unchanged),
    ("torch.Adamax", "sgd"): ({**LIMIT, "beta1": 0.0}, {"lr": LR}, unchanged),
    ("torch.Adamax", "momentum"): (HEAVY_LIMIT, MOMENTUM, corrected),
    ("torch.NAdam", "sgd"): ({**LIMIT, "beta1": 0.0}, {"lr": LR}, unchanged),
    ("torch.RAdam", "sgd"): ({"lr": LR, "beta1": 0.0, "beta2": 0.5}, {"lr": LR}, unchanged),
    ("torch.RAdam", "momentum"): ({**HEAVY, "beta2": 0.5}, MOMENTUM, corrected),
    ("torch.Adagrad", "sgd"): (LIMIT, {"lr": LR}, unchanged),
    ("torch.Adadelta", "sgd"): ({"lr": LR, "eps": FAR}, {"lr": LR}, unchanged),
}


def reached(name: str, given: dict[str, Any], rate: Rate = unchanged) -> Tensor:
    """Where an optimizer comes, its rate times ``rate`` at each step."""
    optimizer = made(name)
    params = torch.randn(2, LAYOUT.width, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    hparams = dict(hyperparameters(name, 2, given, torch.float64))
    state, lr = optimizer.init(params, hparams), hparams["lr"]
    for t in range(1, STEPS + 1):
        hparams["lr"] = lr * rate(t)
        params, state, _ = optimizer.step(gradient(quadratic), params, state, hparams, lambda: torch.empty(0))
    return optimizer.eval_params(params, state)


@pytest.mark.parametrize(("general", "special"), CASES, ids=" contains ".join)
def test_an_optimizer_becomes_what_it_contains(general: str, special: str) -> None:
    wide, narrow, rate = CASES[general, special]
    found, expected = reached(general, wide), reached(special, narrow, rate)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_every_inclusion_that_is_stated_is_tried() -> None:
    assert {(entry.name, name) for entry in optimizers for name in entry.contains} == set(CASES)


def test_what_is_contained_contains_nothing_that_its_container_does_not() -> None:
    for entry in optimizers:
        for name in entry.contains:
            assert set(optimizers.find(name).contains) <= set(entry.contains)


def test_every_optimizer_is_of_a_family() -> None:
    families = {entry.name: entry.family for entry in optimizers}
    assert set(families.values()) == {"sgd", "adam", "rmsprop", "variational", "other"}
    assert families["nesterov"] == "sgd"
    assert families["torch.NAdam"] == "adam"
    assert families["ivon"] == "variational"
