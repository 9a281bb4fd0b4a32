"""The lift: torch.optim's classes as they are, one instance per member, and what cannot be lifted."""

from __future__ import annotations

import io
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.optimizers.references import quadratic, reference
from tests.steps import columns, made, run
from vaestudy.optimizers import optimizers
from vaestudy.optimizers.lift import lift_optimizer
from vaestudy.registry import Source
from vaestudy.testing.optimizers import saved_and_loaded
from vaestudy.testing.walks import LAYOUT, gradient, hyperparameters

SHAPE_BLIND = [e.name for e in optimizers if e.name.startswith("torch.") and e.name != "torch.Adafactor"]
SOURCE = Source("somebody2020", "Somebody", "Something", 2020)


class Averaged(torch.optim.Optimizer):
    """A step of Polyak's size, evaluated at the running average: group state, two points, a loss, a whole number."""

    def __init__(self, params: Any, lr: float = 1.0, wait: int = 2, betas: tuple[float, float] = (0.9, 0.99)):
        super().__init__(params, {"lr": lr, "wait": wait, "betas": betas, "count": 0})

    @torch.no_grad()
    def step(self, closure: None = None, loss: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["count"] += 1
            assert isinstance(group["wait"], int)
            moving = [p for p in group["params"] if p.grad is not None]
            squared = sum(p.grad.square().sum() for p in moving)
            for p in moving:
                p.sub_(p.grad * group["lr"] * min(1.0, float(0.1 * loss / squared)))
                average = self.state[p].setdefault("average", p.clone())
                if group["count"] > group["wait"]:
                    average.lerp_(p, 1 / group["count"])

    def train(self) -> None:
        self._swap()

    def eval(self) -> None:
        self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if "average" in self.state[p]:
                    here = p.clone()
                    p.copy_(self.state[p]["average"])
                    self.state[p]["average"] = here


@pytest.fixture
def averaged() -> Iterator[str]:
    lift_optimizer("averaged", Averaged, SOURCE, lr=0.5)
    yield "averaged"
    del optimizers.entries["averaged"]


def no_noise() -> Tensor:
    raise AssertionError("a torch.optim class draws no noise of ours")


def start(rows: int) -> Tensor:
    return torch.randn(rows, LAYOUT.width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("name", SHAPE_BLIND)
def test_a_lifted_torch_class_equals_the_class_itself(name: str) -> None:
    cls = getattr(torch.optim, name.removeprefix("torch."))
    reached = run(name, start(2), 20, quadratic, {})
    torch.testing.assert_close(reached[1], reference(cls, {}, start(2)[1], 20), rtol=0, atol=1e-12)


def test_a_class_that_looks_at_shapes_sees_those_of_the_parameters_of_one_member() -> None:
    reached = run("torch.Adafactor", start(2), 20, quadratic, {})
    parameters = [torch.nn.Parameter(view[1].clone()) for view in LAYOUT.views(start(2)).values()]
    alone = torch.optim.Adafactor(parameters)
    for _ in range(20):
        row = LAYOUT.pack([parameter.detach()[None] for parameter in parameters]).requires_grad_()
        slopes = LAYOUT.views(torch.autograd.grad(quadratic(row), row)[0])
        for slope, parameter in zip(slopes.values(), parameters, strict=True):
            parameter.grad = slope[0]
        alone.step()
    for view, parameter in zip(LAYOUT.views(reached).values(), parameters, strict=True):
        torch.testing.assert_close(view[1], parameter.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SHAPE_BLIND)
def test_separate_rates_move_each_part_as_its_own_rate_would(name: str) -> None:
    both = torch.full((2, LAYOUT.width), 0.01, dtype=torch.float64)
    both[:, columns("decoder")] = 0.03

    def separable(theta: Tensor) -> Tensor:
        return 0.5 * (theta**2).sum(-1)

    mixed = run(name, start(2), 6, separable, {"lr": both})
    for part, rate in (("encoder", 0.01), ("decoder", 0.03)):
        assert torch.equal(mixed[:, columns(part)], run(name, start(2), 6, separable, {"lr": rate})[:, columns(part)])


@pytest.mark.parametrize("name", ["torch.NAdam", "torch.ASGD", "torch.Adagrad", "torch.Rprop"])
def test_a_restored_row_goes_on_bit_for_bit_in_float64(name: str) -> None:
    hparams = hyperparameters(name, 1, {}, torch.float64)

    def walk(interrupted: bool) -> Tensor:
        optimizer, params = made(name), start(1)
        state = optimizer.init(params, hparams)
        for step in range(10):
            if interrupted and step == 4:
                buffer = io.BytesIO()
                torch.save(optimizer.get_row(state, 0), buffer)
                buffer.seek(0)
                state = optimizer.put_rows([torch.load(buffer, weights_only=True)])
            params, state, _ = optimizer.step(gradient(quadratic), params, state, hparams, no_noise)
        return params

    assert torch.equal(walk(interrupted=False), walk(interrupted=True))


def test_a_plugins_schema_is_its_signature_with_its_registered_defaults(averaged: str) -> None:
    entry = optimizers.find(averaged)
    assert {name: item.default for name, item in entry.hyperparameters.items()} == {
        "lr": 0.5, "wait": 2, "beta1": 0.9, "beta2": 0.99
    }  # fmt: skip
    assert entry.hyperparameters["wait"].kind is int
    assert entry.hyperparameters["beta1"].problem(1.0) is not None
    assert entry.source == SOURCE


def stepped(name: str, steps: int, interrupted_at: int | None = None) -> tuple[Any, Tensor, Any]:
    optimizer, params = made(name), start(2)
    hparams = hyperparameters(name, 2, {}, torch.float64)
    state = optimizer.init(params, hparams)
    for step in range(steps):
        if step == interrupted_at:
            optimizer.eval_params(params, state)
            state = optimizer.put_rows([optimizer.get_row(state, k) for k in range(2)])
        params, state, _ = optimizer.step(gradient(quadratic), params, state, hparams, no_noise)
    return optimizer, params, state


def test_a_plugin_keeps_what_it_holds_in_its_groups_over_saving_and_evaluating(averaged: str) -> None:
    straight, broken = stepped(averaged, 8), stepped(averaged, 8, interrupted_at=5)
    assert torch.equal(straight[1], broken[1])
    assert torch.equal(straight[0].eval_params(*straight[1:]), broken[0].eval_params(*broken[1:]))
    assert broken[2][0].instance.param_groups[0]["count"] == 8


def test_a_plugin_is_evaluated_where_its_eval_moves_it_and_trains_on_from_where_it_was(averaged: str) -> None:
    optimizer, params, state = stepped(averaged, 5)
    before = params.clone()
    judged = optimizer.eval_params(params, state)
    assert not torch.equal(judged, params)
    assert torch.equal(params, before)
    assert torch.equal(judged, optimizer.eval_params(params, state))


class Simple(torch.optim.Optimizer):
    """Plain descent; what follows keeps something in addition."""

    def __init__(self, params: Any, lr: float = 0.05):
        super().__init__(params, {"lr": lr})

    def scale(self, p: Tensor) -> float | Tensor:
        return 1.0

    def begin(self) -> None: ...

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        self.begin()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(p.grad * group["lr"] * self.scale(p))


class CountsInState(Simple):
    """Keeps a count of all parameters in its state, by a name (MADGRAD's way)."""

    def begin(self) -> None:
        self.state["k"] = self.state.get("k", torch.zeros(1, dtype=torch.long)) + 1

    def scale(self, p: Tensor) -> Tensor:
        return torch.sqrt(self.state["k"].float())  # type: ignore[no-any-return]


class Forgets(Simple):
    """Keeps a count in an attribute that no state_dict shows."""

    def __init__(self, params: Any, lr: float = 0.05, pace: float = 0.5):
        super().__init__(params, lr)
        self.pace, self.total_step = pace, 0

    def begin(self) -> None:
        self.total_step += 1

    def scale(self, p: Tensor) -> float:
        return self.pace ** (self.total_step % 5)


class CountsAndTells(Forgets):
    """The same, but its state_dict has the count (StableSPAM's way)."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "total_step": self.total_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({key: state_dict[key] for key in ("state", "param_groups")})
        self.total_step = state_dict["total_step"]


class ForgetsInside(Simple):
    """Keeps a count in an object of its own."""

    def __init__(self, params: Any, lr: float = 0.05):
        super().__init__(params, lr)
        self.clock = Namespace(ticks=[0])

    def begin(self) -> None:
        self.clock.ticks[0] += 1


class Draws(Simple):
    def scale(self, p: Tensor) -> Tensor:
        return torch.rand(p.shape)


class KeepsQueue(Simple):
    def scale(self, p: Tensor) -> float:
        self.state[p].setdefault("last", deque(maxlen=2)).append(1.0)
        return 1.0


class MovesAnyway(Simple):
    """Shrinks every parameter, with a gradient or without."""

    @torch.no_grad()
    def begin(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(0.99)


class WantsAllGradients(Simple):
    def begin(self) -> None:
        assert isinstance(sum(p.grad.square().sum() for group in self.param_groups for p in group["params"]), Tensor)


@pytest.fixture
def lift() -> Iterator[Callable[..., str]]:
    """Registers a class as ``lifted`` for one test."""

    def add(cls: Any, **options: Any) -> str:
        lift_optimizer("lifted", cls, **options)
        return "lifted"

    yield add
    optimizers.entries.pop("lifted", None)


@pytest.mark.parametrize("cls", [CountsInState, CountsAndTells])
def test_a_class_whose_state_is_not_per_parameter_goes_on_bit_for_bit(cls: type, lift: Callable[..., str]) -> None:
    name = lift(cls)
    straight = stepped(name, 12)[1]
    for stop in (1, 4, 7):
        assert torch.equal(stepped(name, 12, interrupted_at=stop)[1], straight)
    saved_and_loaded(name)


def test_a_restored_class_has_the_members_own_arguments_where_it_keeps_them_in_attributes(
    lift: Callable[..., str],
) -> None:
    optimizer = made(lift(CountsAndTells))
    hparams = hyperparameters("lifted", 2, {"pace": torch.tensor([[0.9], [0.1]])}, torch.float64)
    state = optimizer.put_rows([optimizer.get_row(optimizer.init(start(2), hparams), k) for k in range(2)])
    straight, restored = (
        optimizer.step(gradient(quadratic), start(2), found, hparams, no_noise)[0]
        for found in (optimizer.init(start(2), hparams), state)
    )
    assert torch.equal(straight, restored)
    assert not torch.equal(straight[0] - start(2)[0], straight[1] - start(2)[1])


def judged(t0: float, steps: int, stop: int | None = None) -> tuple[Tensor, Tensor]:
    """Where torch.ASGD is judged and where it stands, each ``[2, P]``."""
    optimizer, params = made("torch.ASGD"), start(2)
    hparams = hyperparameters("torch.ASGD", 2, {"t0": t0}, torch.float64)
    state = optimizer.init(params, hparams)
    for step in range(steps):
        if step == stop:
            state = optimizer.put_rows([optimizer.get_row(state, k) for k in range(2)])
        params, state, _ = optimizer.step(gradient(quadratic), params, state, hparams, no_noise)
    return optimizer.eval_params(params, state), params


def test_averaged_descent_is_judged_at_the_average_that_torch_computes() -> None:
    average, iterate = judged(t0=3, steps=20)
    parameter = torch.nn.Parameter(start(2)[1].clone())
    alone = torch.optim.ASGD([parameter], t0=3)
    for _ in range(20):
        alone.zero_grad()
        quadratic(parameter).backward()  # type: ignore[no-untyped-call]
        alone.step()
    torch.testing.assert_close(average[1], alone.state[parameter]["ax"], rtol=0, atol=1e-12)
    torch.testing.assert_close(iterate[1], parameter.detach(), rtol=0, atol=1e-12)
    assert not torch.equal(average, iterate)


def test_averaged_descent_is_judged_where_it_stands_until_its_average_begins() -> None:
    assert torch.equal(judged(t0=3, steps=0)[0], start(2))
    average, iterate = judged(t0=1e6, steps=20)
    assert torch.equal(average, iterate)


def test_the_average_goes_on_bit_for_bit_from_a_restored_row() -> None:
    assert torch.equal(judged(t0=3, steps=20, stop=11)[0], judged(t0=3, steps=20)[0])


def test_a_well_known_name_with_another_meaning_and_an_endless_default_are_no_obstacles(
    lift: Callable[..., str],
) -> None:
    class Named(Simple):
        def __init__(self, params: Any, lr: float = 0.05, alpha: float = 5.0, growth: float = float("inf")):
            super().__init__(params, lr)

    schema = optimizers.find(lift(Named)).hyperparameters
    assert list(schema) == ["lr", "alpha"]
    assert schema["alpha"].problem(5.0) is None


class NoRate(torch.optim.SGD):
    def __init__(self, params: Any, momentum: float = 0.9):
        super().__init__(params, lr=0.1, momentum=momentum)


class WantsModel(torch.optim.SGD):
    def __init__(self, params: Any, model: torch.nn.Module, lr: float = 0.1):
        super().__init__(params, lr=lr)


REFUSED: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (torch.optim.LBFGS, {}, "LBFGS.step evaluates a closure"),
    (torch.optim.SparseAdam, {}, "SparseAdam cannot be lifted, .* does not support dense gradients"),
    (torch.optim.Muon, {}, "Muon cannot be lifted, .* only supports 2D parameters"),
    (NoRate, {}, "NoRate has no number called lr"),
    (WantsModel, {}, "WantsModel gives model no default"),
    (torch.optim.SGD, {"momentun": 0.9}, "SGD has no number called momentun .it has lr, momentum,"),
    (
        Forgets,
        {},
        "Forgets cannot be lifted: it keeps total_step outside its state_dict, so that no run could be resumed",
    ),
    (ForgetsInside, {}, "ForgetsInside cannot be lifted: it keeps clock outside its state_dict"),
    (Draws, {}, "Draws cannot be lifted: stored and restored it goes on otherwise: it draws noise, or"),
    (KeepsQueue, {}, "KeepsQueue cannot be lifted: it keeps deque; only tensors, numbers, words, lists and mappings"),
    (MovesAnyway, {}, "MovesAnyway cannot be lifted: it moves parameters that have no gradient, so that no part could"),
    (
        WantsAllGradients,
        {},
        "WantsAllGradients cannot be lifted: it needs a gradient of every parameter, .* no attribute",
    ),
    (torch.optim.ASGD, {"evaluated_at": "mean"}, "no accumulator 'mean' of .* .it keeps step, eta, mu, ax."),
    (torch.optim.ASGD, {"evaluated_at": "eta"}, "no accumulator 'eta' of its parameters' shape"),
]


@pytest.mark.parametrize(("cls", "defaults", "reason"), REFUSED, ids=[case[0].__name__ for case in REFUSED])
def test_what_cannot_be_lifted_is_refused_with_the_reason(cls: Any, defaults: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        lift_optimizer("refused", cls, **defaults)
    assert "refused" not in optimizers
