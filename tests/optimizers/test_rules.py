"""Every native rule against torch.optim or its authors' package, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.steps import LAYOUT, columns, run
from vaestudy.optimizers import optimizers

ivon = pytest.importorskip("ivon")

REFERENCES: list[tuple[str, dict[str, float], type[torch.optim.Optimizer], dict[str, Any]]] = [
    ("sgd", {"lr": 0.05}, torch.optim.SGD, {"lr": 0.05}),
    ("sgd", {"lr": 0.05, "weight_decay": 0.1}, torch.optim.SGD, {"lr": 0.05, "weight_decay": 0.1}),
    ("momentum", {"lr": 0.05}, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    ("momentum", {"lr": 0.05, "momentum": 0.0}, torch.optim.SGD, {"lr": 0.05, "momentum": 0.0}),
    (
        "nesterov",
        {"lr": 0.05, "weight_decay": 0.1},
        torch.optim.SGD,
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    ("adam", {}, torch.optim.Adam, {}),
    (
        "adam",
        {"beta1": 0.8, "beta2": 0.99, "eps": 1e-3, "weight_decay": 0.1},
        torch.optim.Adam,
        {"betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": 0.1},
    ),
    ("adamw", {"weight_decay": 0.2}, torch.optim.AdamW, {"weight_decay": 0.2}),
    ("rmsprop", {"lr": 1e-2}, torch.optim.RMSprop, {"lr": 1e-2}),
    (
        "rmsprop",
        {"lr": 1e-2, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1},
        torch.optim.RMSprop,
        {"lr": 1e-2, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1},
    ),
]


def quadratic(theta: Tensor) -> Tensor:
    """A badly scaled, coupled bowl, per row."""
    scales = torch.linspace(0.1, 3.0, theta.shape[-1], dtype=theta.dtype)
    return 0.5 * (scales * theta**2).sum(-1) + 0.1 * theta.sin().sum(-1) * theta.mean(-1)


def reference(cls: type[torch.optim.Optimizer], arguments: dict[str, Any], start: Tensor, steps: int) -> Tensor:
    parameter = torch.nn.Parameter(start.clone())
    made = cls([parameter], **arguments)
    for _ in range(steps):
        made.zero_grad()
        quadratic(parameter).backward()  # type: ignore[no-untyped-call]
        made.step()
    return parameter.detach()


@pytest.mark.parametrize("fused", [True, False], ids=["kernel", "equations"])
@pytest.mark.parametrize(("name", "ours", "cls", "theirs"), REFERENCES)
def test_a_rule_agrees_with_torch_over_fifty_steps(
    name: str, ours: dict[str, float], cls: type[torch.optim.Optimizer], theirs: dict[str, Any], fused: bool
) -> None:
    start = torch.randn(3, LAYOUT.width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reached = run(name, start, 50, quadratic, ours, fused=fused)
    for k in range(3):
        torch.testing.assert_close(reached[k], reference(cls, theirs, start[k], 50), rtol=0, atol=1e-12)


def test_ivon_agrees_with_its_authors_package(monkeypatch: pytest.MonkeyPatch) -> None:
    start = torch.randn(1, LAYOUT.width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    draws = [
        torch.randn(LAYOUT.width, generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in range(50)
    ]
    given = {"lr": 0.1, "ess": 500.0, "hess_init": 0.5, "beta2": 0.999, "weight_decay": 1e-3}
    reached = run("ivon", start, 50, quadratic, given, noise=lambda step: draws[step][None])

    left = iter(draws)
    monkeypatch.setattr(torch, "randn", lambda *size, **options: next(left))
    parameter = torch.nn.Parameter(start[0].clone())
    made = ivon.IVON([parameter], lr=0.1, ess=500.0, hess_init=0.5, beta2=0.999, weight_decay=1e-3)
    for _ in range(50):
        with made.sampled_params(train=True):
            made.zero_grad()
            quadratic(parameter).backward()  # type: ignore[no-untyped-call]
        made.step()
    torch.testing.assert_close(reached[0], parameter.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop"])
def test_separate_rates_move_each_part_as_its_own_rate_would(name: str) -> None:
    start = torch.randn(2, LAYOUT.width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    both = torch.full((2, LAYOUT.width), 0.01, dtype=torch.float64)
    both[:, columns("decoder")] = 0.03

    def separable(theta: Tensor) -> Tensor:
        return 0.5 * (theta**2).sum(-1)

    mixed = run(name, start, 10, separable, {"lr": both})
    slow, fast = (run(name, start, 10, separable, {"lr": rate}) for rate in (0.01, 0.03))
    assert torch.equal(mixed[:, columns("encoder")], slow[:, columns("encoder")])
    assert torch.equal(mixed[:, columns("decoder")], fast[:, columns("decoder")])


def test_every_lifted_torch_class_equals_the_class_itself() -> None:
    start = torch.randn(2, LAYOUT.width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    compared = 0
    for entry in optimizers:
        if not entry.name.startswith("torch.") or entry.name == "torch.Adafactor":  # it looks at shapes: tested below
            continue
        cls = getattr(torch.optim, entry.name.removeprefix("torch."))
        reached = run(entry.name, start, 20, quadratic, {})
        torch.testing.assert_close(reached[1], reference(cls, {}, start[1], 20), rtol=0, atol=1e-12, msg=entry.name)
        compared += 1
    assert compared >= 10


def test_a_lifted_class_sees_named_shapes_and_one_member_only() -> None:
    start = torch.randn(2, LAYOUT.width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    reached = run("torch.Adafactor", start, 20, quadratic, {})
    parameters = [torch.nn.Parameter(view[1].clone()) for view in LAYOUT.views(start).values()]
    made = torch.optim.Adafactor(parameters)
    for _ in range(20):
        row = torch.zeros(LAYOUT.width, dtype=torch.float64)
        flat = LAYOUT.views(row[None])
        for view, parameter in zip(flat.values(), parameters, strict=True):
            view.copy_(parameter.detach()[None])
        row.requires_grad_()
        slopes = LAYOUT.views(torch.autograd.grad(quadratic(row), row)[0][None])
        for slope, parameter in zip(slopes.values(), parameters, strict=True):
            parameter.grad = slope[0]
        made.step()
    for view, parameter in zip(LAYOUT.views(reached).values(), parameters, strict=True):
        torch.testing.assert_close(view[1], parameter.detach(), rtol=0, atol=1e-12)


def test_a_class_that_evaluates_a_closure_is_refused_with_the_reason() -> None:
    from vaestudy.optimizers.lift import lift_optimizer

    with pytest.raises(ValueError, match=r"LBFGS\.step evaluates a closure"):
        lift_optimizer("lbfgs", torch.optim.LBFGS)
