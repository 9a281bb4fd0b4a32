"""Every native rule against torch.optim or its authors' package, in float64."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.optimizers.references import quadratic, reference
from tests.steps import columns, made, own_noise, run
from vaestudy.hyperparameters import number
from vaestudy.optimizers import base, optimizers
from vaestudy.testing.walks import LAYOUT, gradient, hyperparameters

NATIVE = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop"]

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
    ("nesterov", {"lr": 0.05, "momentum": 0.0}, torch.optim.SGD, {"lr": 0.05}),
    ("adam", {}, torch.optim.Adam, {}),
    (
        "adam",
        {"beta1": 0.8, "beta2": 0.99, "eps": 1e-3, "weight_decay": 0.1},
        torch.optim.Adam,
        {"betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": 0.1},
    ),
    ("adamw", {"weight_decay": 0.2}, torch.optim.AdamW, {"weight_decay": 0.2}),
    ("rmsprop", {"lr": 1e-2}, torch.optim.RMSprop, {"lr": 1e-2}),
    ("rmsprop", {"lr": 1e-2, "weight_decay": 0.1}, torch.optim.RMSprop, {"lr": 1e-2, "weight_decay": 0.1}),
    (
        "rmsprop",
        {"lr": 1e-2, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1},
        torch.optim.RMSprop,
        {"lr": 1e-2, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1},
    ),
]


@pytest.mark.parametrize("fused", [True, False], ids=["kernel", "equations"])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(("name", "ours", "cls", "theirs"), REFERENCES)
def test_a_rule_agrees_with_torch_over_fifty_steps(
    name: str, ours: dict[str, float], cls: type[torch.optim.Optimizer], theirs: dict[str, Any], rows: int, fused: bool
) -> None:
    start = torch.randn(rows, LAYOUT.width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reached = run(name, start, 50, quadratic, ours, fused=fused)
    for k in range(rows):
        torch.testing.assert_close(reached[k], reference(cls, theirs, start[k], 50), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "more",
    [{}, {"clip_radius": 0.3}, {"mc_samples": 3}, {"mc_samples": 2, "clip_radius": 0.1}],
    ids=lambda more: ", ".join(more) or "as published",
)
def test_ivon_agrees_with_its_authors_package(more: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ivon = pytest.importorskip("ivon")
    start = torch.randn(1, LAYOUT.width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    samples = more.get("mc_samples", 1)
    draws = [
        torch.randn(LAYOUT.width, generator=torch.Generator().manual_seed(s), dtype=torch.float64)
        for s in range(50 * samples)
    ]
    given = {"lr": 0.1, "ess": 500.0, "hess_init": 0.5, "beta2": 0.999, "weight_decay": 1e-3, **more}

    def noise(step: int, draw: int) -> Tensor:
        return draws[step * samples + draw][None].clone()

    reached = run("ivon", start, 50, quadratic, given, noise=noise)

    left = iter(draws)
    monkeypatch.setattr(torch, "randn", lambda *size, **options: next(left))
    parameter = torch.nn.Parameter(start[0].clone())
    made = ivon.IVON([parameter], **given)
    for _ in range(50):
        for _ in range(samples):
            with made.sampled_params(train=True):
                made.zero_grad()
                quadratic(parameter).backward()  # type: ignore[no-untyped-call]
        made.step()
    torch.testing.assert_close(reached[0], parameter.detach(), rtol=0, atol=1e-12)


def test_ivons_clip_radius_bounds_every_entry_of_a_step_and_leaves_shorter_ones_alone() -> None:
    start = torch.linspace(-2.0, 2.0, LAYOUT.width, dtype=torch.float64)[None]
    given = {"lr": 0.1, "hess_init": 1.0, "weight_decay": 0.0, "beta2": 1 - 1e-12}
    free, clipped = (run("ivon", start, 1, quadratic, {**given, **bound}) for bound in ({}, {"clip_radius": 0.5}))
    step = (free - start) / 0.1  # h + delta is 1 here, so the direction is the step over the rate
    torch.testing.assert_close((clipped - start) / 0.1, step.clamp(-0.5, 0.5), rtol=0, atol=1e-9)
    assert (step.abs() > 0.5).any()
    assert (step.abs() < 0.5).any()


def test_members_under_ivon_may_take_different_numbers_of_samples() -> None:
    start = torch.randn(1, LAYOUT.width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    noise = partial(own_noise, 1, LAYOUT.width, torch.float64)

    counts = [1.0, 3.0, 2.0]
    together = run(
        "ivon",
        start.expand(3, -1),
        10,
        quadratic,
        {"mc_samples": torch.tensor([counts], dtype=torch.float64).T},
        noise=lambda step, draw=0: noise(step, draw).expand(3, -1).clone(),
    )
    for row, count in zip(together, counts, strict=True):
        assert torch.equal(run("ivon", start, 10, quadratic, {"mc_samples": count}, noise=noise)[0], row)


PUBLISHED = {
    "sgd": torch.optim.SGD,
    "momentum": torch.optim.SGD,
    "nesterov": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}


@pytest.mark.parametrize("name", NATIVE)
def test_the_defaults_of_a_rule_are_those_of_the_class_whose_form_it_has(name: str) -> None:
    theirs = PUBLISHED[name]([torch.nn.Parameter(torch.zeros(1))]).defaults
    theirs |= dict(zip(("beta1", "beta2"), theirs.get("betas", ()), strict=False))
    ours = {key: entry.default for key, entry in optimizers.find(name).hyperparameters.items()}
    momentum = ours.pop("momentum") if name in ("momentum", "nesterov") else None
    assert momentum in (None, 0.9)
    assert ours == {key: theirs[key] for key in ours}


def test_the_defaults_of_ivon_are_its_authors_and_what_they_give_none_is_required() -> None:
    ivon = pytest.importorskip("ivon")
    theirs = {name: item.default for name, item in inspect.signature(ivon.IVON).parameters.items()}
    for name, entry in optimizers.find("ivon").hyperparameters.items():
        assert entry.required == (theirs[name] is inspect.Parameter.empty)
        assert entry.required or number(entry.default) == theirs[name]


@pytest.mark.parametrize("name", NATIVE)
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


@pytest.mark.parametrize("parts", [False, True], ids=["one rate", "a rate per part"])
@pytest.mark.parametrize("name", NATIVE)
def test_a_kernel_gives_the_equations_numbers_when_every_member_differs(name: str, parts: bool) -> None:
    start = torch.randn(3, LAYOUT.width, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    column = torch.tensor([[0.5], [1.0], [2.0]], dtype=torch.float64)
    rate = 0.01 * column.expand(3, LAYOUT.width if parts else 1).clone()
    if parts:
        rate[:, columns("decoder")] *= torch.tensor([[3.0], [1.0], [0.1]], dtype=torch.float64)
    given = {"lr": rate, "weight_decay": 0.1 * column, "momentum": 0.4 * column, "beta1": 0.45 * column}
    kernel, equations = (run(name, start, 20, quadratic, given, fused=fused) for fused in (True, False))
    torch.testing.assert_close(kernel, equations, rtol=0, atol=1e-13)


@pytest.mark.parametrize("fused", [True, False], ids=["kernel", "equations"])
@pytest.mark.parametrize("name", NATIVE)
def test_a_step_changes_the_rows_where_they_lie(name: str, fused: bool) -> None:
    optimizer, params = made(name, fused), torch.ones(2, LAYOUT.width)
    hparams = hyperparameters(name, 2, {}, torch.float32)
    reached, _, _ = optimizer.step(
        gradient(quadratic), params, optimizer.init(params, hparams), hparams, lambda: params
    )
    assert reached is params
    assert not reached.eq(1).all()


@pytest.mark.parametrize("name", [*NATIVE, "ivon"])
def test_updating_in_blocks_equals_updating_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start = torch.randn(2, LAYOUT.width, generator=torch.Generator().manual_seed(4))
    rate = torch.rand(2, LAYOUT.width, generator=torch.Generator().manual_seed(5)) * 1e-2
    whole = run(name, start, 10, quadratic, {"lr": rate}, fused=False)
    monkeypatch.setattr(base, "BLOCK", 40)
    assert LAYOUT.width % 40
    assert torch.equal(run(name, start, 10, quadratic, {"lr": rate}, fused=False), whole)
