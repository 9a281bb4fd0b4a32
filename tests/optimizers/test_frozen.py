"""A part that was frozen trains on like a parameter of torch's that had no gradient meanwhile; all in float64."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.optimizers.references import quadratic
from tests.steps import columns, made, own_noise
from vaestudy.optimizers import optimizers
from vaestudy.optimizers.base import Frozen, Optimizer
from vaestudy.params import PARTS
from vaestudy.testing.walks import LAYOUT, gradient, hyperparameters

MEMBERS = 3
PHASES: list[tuple[int, Frozen | None]] = [
    (3, ["encoder", None, "decoder"]),
    (2, None),
    (4, ["decoder", "encoder", None]),
    (5, ["encoder", "encoder", "encoder"]),
    (3, None),
]
"""Steps, and what each member has frozen in them."""

RULES: list[tuple[str, dict[str, float], type[torch.optim.Optimizer], dict[str, Any]]] = [
    ("sgd", {"lr": 0.05, "weight_decay": 0.1}, torch.optim.SGD, {"lr": 0.05, "weight_decay": 0.1}),
    (
        "momentum",
        {"lr": 0.05, "weight_decay": 0.1},
        torch.optim.SGD,
        {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1},
    ),
    ("nesterov", {"lr": 0.05}, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("adam", {"weight_decay": 0.1}, torch.optim.Adam, {"weight_decay": 0.1}),
    ("adamw", {"lr": 0.01, "weight_decay": 0.5}, torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.5}),
    ("rmsprop", {"lr": 1e-2, "momentum": 0.5}, torch.optim.RMSprop, {"lr": 1e-2, "momentum": 0.5}),
]
LIFTED = [entry.name for entry in optimizers if entry.name.startswith("torch.")]


def no_noise() -> Tensor:
    raise AssertionError("only a posterior over weights draws noise")


def start() -> Tensor:
    return torch.randn(MEMBERS, LAYOUT.width, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def without_frozen(
    loss: Callable[[Tensor], Tensor], frozen: Frozen | None
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The gradient function of a population: gradients of what is frozen are 0."""

    def grad_fn(at: Tensor) -> tuple[Tensor, Tensor]:
        grads, losses = gradient(loss)(at)
        for k, part in enumerate(frozen or ()):
            if part is not None:
                grads[k, columns(part)] = 0.0
        return grads, losses

    return grad_fn


def walked(optimizer: Optimizer, name: str, given: dict[str, Any], members: slice = slice(None)) -> Tensor:
    """Where the members come in all phases, each with its own frozen parts; saved and restored between phases."""
    params = start()[members]
    hparams = hyperparameters(name, len(params), given, torch.float64)
    state = optimizer.init(params, hparams)
    for steps, frozen in PHASES:
        for _ in range(steps):
            mine = frozen and list(frozen)[members]
            grads = without_frozen(quadratic, mine)
            params, state, _ = optimizer.step(grads, params, state, hparams, no_noise, mine)
        buffer = io.BytesIO()
        torch.save([optimizer.get_row(state, k) for k in range(len(params))], buffer)
        buffer.seek(0)
        state = optimizer.put_rows(torch.load(buffer, weights_only=True))
    return params


def reference(cls: type[torch.optim.Optimizer], arguments: dict[str, Any], k: int) -> Tensor:
    """Where a class brings member k's parameters, those that are frozen without a gradient."""
    parameters = {name: torch.nn.Parameter(view[k].clone()) for name, view in LAYOUT.views(start()).items()}
    alone = cls(list(parameters.values()), **arguments)
    for steps, frozen in PHASES:
        for _ in range(steps):
            row = LAYOUT.pack([parameter.detach()[None] for parameter in parameters.values()]).requires_grad_()
            slopes = LAYOUT.views(torch.autograd.grad(quadratic(row), row)[0])
            for name, parameter in parameters.items():
                still = frozen is not None and frozen[k] == name.split(".")[0]
                parameter.grad = None if still else slopes[name][0]
            alone.step()
    return LAYOUT.pack([parameter.detach()[None] for parameter in parameters.values()])[0]


@pytest.mark.parametrize("fused", [True, False], ids=["kernel", "equations"])
@pytest.mark.parametrize(("name", "ours", "cls", "theirs"), RULES, ids=[rule[0] for rule in RULES])
def test_a_rule_treats_what_is_frozen_as_torch_treats_a_parameter_without_a_gradient(
    name: str, ours: dict[str, float], cls: type[torch.optim.Optimizer], theirs: dict[str, Any], fused: bool
) -> None:
    reached = walked(made(name, fused), name, ours)
    for k in range(MEMBERS):
        torch.testing.assert_close(reached[k], reference(cls, theirs, k), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", LIFTED)
def test_a_lifted_class_gets_no_gradient_of_what_is_frozen(name: str) -> None:
    cls = getattr(torch.optim, name.removeprefix("torch."))
    reached = walked(made(name), name, {})
    for k in range(MEMBERS):
        torch.testing.assert_close(reached[k], reference(cls, {}, k), rtol=0, atol=1e-12)


@pytest.mark.parametrize("fused", [True, False], ids=["kernel", "equations"])
@pytest.mark.parametrize("name", [rule[0] for rule in RULES])
def test_a_member_with_parts_frozen_is_the_same_alone_and_beside_members_with_others(name: str, fused: bool) -> None:
    together = walked(made(name, fused), name, {})
    for k in range(MEMBERS):
        assert torch.equal(walked(made(name, fused), name, {}, slice(k, k + 1))[0], together[k])


@pytest.mark.parametrize("fused", [True, False], ids=["kernel", "equations"])
def test_the_first_step_of_a_thawed_part_has_the_length_of_adams_first_step(fused: bool) -> None:
    optimizer, params = made("adam", fused), start()[:1]
    hparams = hyperparameters("adam", 1, {"lr": 0.01, "eps": 0.0}, torch.float64)
    state, frozen = optimizer.init(params, hparams), ["encoder"]
    for _ in range(20):
        grads = without_frozen(quadratic, frozen)
        params, state, _ = optimizer.step(grads, params, state, hparams, no_noise, frozen)
    before = params.clone()
    params, state, _ = optimizer.step(gradient(quadratic), params, state, hparams, no_noise)
    moved = (params - before)[0, columns("encoder")].abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.01), rtol=1e-12, atol=0)


def separable(theta: Tensor) -> Tensor:
    return 0.5 * (torch.linspace(0.5, 2.0, theta.shape[-1], dtype=theta.dtype) * theta**2).sum(-1)


class Ivon:
    """One member under IVON on a separable bowl; remembers where its gradients were taken."""

    def __init__(self) -> None:
        self.optimizer, self.params, self.asked = made("ivon"), start()[:1], [torch.empty(0)]
        self.hparams = hyperparameters("ivon", 1, {"lr": 0.1, "beta2": 0.99}, torch.float64)
        self.state = self.optimizer.init(self.params, self.hparams)

    def go(self, noises: range, frozen: Frozen | None = None) -> Ivon:
        for step in noises:

            def grad_fn(at: Tensor) -> tuple[Tensor, Tensor]:
                self.asked.append(at.clone())
                return without_frozen(separable, frozen)(at)

            self.params, self.state, _ = self.optimizer.step(
                grad_fn,
                self.params,
                self.state,
                self.hparams,
                partial(own_noise, 1, LAYOUT.width, torch.float64, step),
                frozen,
            )
        return self


@pytest.mark.parametrize("part", PARTS)
def test_ivon_takes_up_a_thawed_part_where_it_left_it_and_trains_the_other_as_ever(part: str) -> None:
    other = columns("decoder" if part == "encoder" else "encoder")
    walk = Ivon().go(range(4)).go(range(4, 10), [part]).go(range(10, 15))
    never_frozen = Ivon().go(range(15))
    not_there_meanwhile = Ivon().go(range(4)).go(range(10, 15))
    assert torch.equal(walk.params[:, other], never_frozen.params[:, other])
    assert torch.equal(walk.params[:, columns(part)], not_there_meanwhile.params[:, columns(part)])
    assert torch.equal(walk.state["h"][:, columns(part)], not_there_meanwhile.state["h"][:, columns(part)])


@pytest.mark.parametrize("part", PARTS)
def test_ivon_asks_for_the_gradient_at_the_mean_of_what_is_frozen(part: str) -> None:
    walk = Ivon().go(range(3))
    mean = walk.params[:, columns(part)].clone()
    walk.go(range(3, 8), [part])
    assert all(torch.equal(at[:, columns(part)], mean) for at in walk.asked[-5:])
    other = columns("decoder" if part == "encoder" else "encoder")
    assert not any(torch.equal(at[:, other], walk.params[:, other]) for at in walk.asked[-5:])
