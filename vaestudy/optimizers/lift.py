"""The second door: any ``torch.optim.Optimizer`` whose step needs only gradients and the loss, one per member.

Each member has an instance of its own on named, shaped views of its row, so that methods which look at shapes, or sum
over a parameter group, see one member only. Encoder and decoder are two parameter groups, for rates of their own.

Letters: K members, P parameters.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import torch
from torch import Tensor, nn

from vaestudy.hyperparameters import Decay, Domain, Fraction, Hyperparameter, NonNegative, Positive, Schema
from vaestudy.optimizers.base import Frozen, GradFn, Hyperparameters, Row, WeightNoise, optimizers
from vaestudy.optimizers.trial import SAMPLE, tried
from vaestudy.params import PARTS, Layout
from vaestudy.registry import Source

Instance = torch.optim.Optimizer

LEFT_OUT = {"self", "params", "foreach", "fused", "capturable", "differentiable", "maximize"}
"""Arguments that say how to compute, not what; ``maximize`` would contradict the objective."""

PAIRS = {"betas": ("beta1", "beta2")}

DOMAINS: dict[str, Any] = {
    "lr": Positive,
    "beta1": Decay,
    "beta2": Decay,
    "momentum": Decay,
    "alpha": Decay,
    "rho": Decay,
    "dampening": Fraction,
    "eps": NonNegative,
    "weight_decay": NonNegative,
    "lr_decay": NonNegative,
    "lambd": NonNegative,
    "t0": NonNegative,
    "momentum_decay": NonNegative,
    "initial_accumulator_value": NonNegative,
}
ANY_NUMBER = Annotated[float, Domain("a number")]
ANY_INTEGER = Annotated[int, Domain("a whole number", scale="int")]

OWN_KEYS = ("state", "param_groups")
"""What every class has in its ``state_dict``; other keys are of its own making."""


@dataclass(frozen=True)
class Made:
    """A member's instance, and the arguments it was made with: a class may keep some where no state shows them."""

    instance: Instance
    arguments: dict[str, Any]


class Lifted:
    """An optimizer class of torch's kind as an optimizer of K members; the state is one instance per member.

    Args:
        evaluated_at: the accumulator at which the class means its parameters to be judged, where there is one.
    """

    def __init__(self, cls: type[Instance], hyperparameters: Schema, layout: Layout, evaluated_at: str | None = None):
        self.hyperparameters = hyperparameters
        self._cls = cls
        self._layout = layout
        self._evaluated_at = evaluated_at
        self._starts = [layout.columns(part).start for part in PARTS]
        self._takes_loss = "loss" in inspect.signature(cls.step).parameters

    def init(self, params: Tensor, hparams: Hyperparameters) -> list[Made]:
        return [self._made(params[k : k + 1], self._arguments(hparams, k, 0)) for k in range(len(params))]

    def step(
        self,
        grad_fn: GradFn,
        params: Tensor,
        state: list[Made],
        hparams: Hyperparameters,
        noise: WeightNoise,
        frozen: Frozen | None = None,
    ) -> tuple[Tensor, list[Made], Tensor]:
        grads, loss = grad_fn(params)
        for k, instance in enumerate(made.instance for made in state):
            self._point(instance, params[k : k + 1], grads[k : k + 1])
            for part, group in zip(PARTS, instance.param_groups, strict=True):
                if frozen and frozen[k] == part:
                    _without_gradients(group)
            for start, group in zip(self._starts, instance.param_groups, strict=True):
                group.update(self._arguments(hparams, k, start))
            step: Any = instance.step
            step(loss=loss[k]) if self._takes_loss else step()
        return params, state, loss

    def eval_params(self, params: Tensor, state: list[Made]) -> Tensor:
        """The parameters, or where their class evaluates: at an accumulator, or where its ``eval`` moves them
        (schedule-free methods: their average)."""
        if self._evaluated_at is None and not hasattr(self._cls, "eval"):
            return params
        moved = self._moved if self._evaluated_at is None else self._accumulated
        return torch.cat([moved(params[k : k + 1].clone(), made.instance) for k, made in enumerate(state)])

    def get_row(self, state: list[Made], k: int) -> Row:
        """Member k: its arguments, its accumulators by parameter and those of all, and what its class keeps in its
        parameter groups and adds to its ``state_dict``."""
        instance = state[k].instance
        groups = [{n: v for n, v in group.items() if n != "params"} for group in instance.param_groups]
        row = {
            "arguments": state[k].arguments,
            "state": {i: instance.state.get(parameter, {}) for i, parameter in enumerate(_parameters(instance))},
            "shared": {key: value for key, value in instance.state.items() if not isinstance(key, Tensor)},
            "groups": dict(enumerate(groups)),
            "extra": {key: value for key, value in instance.state_dict().items() if key not in OWN_KEYS},
        }
        return {name: _copy(value) for name, value in row.items()}

    def put_rows(self, rows: list[Row]) -> list[Made]:
        return [self._restored(row) for row in rows]

    def _restored(self, row: Row) -> Made:
        """An instance with a row's state as it was; ``load_state_dict`` alone rounds it to the parameters' type."""
        made = self._made(torch.zeros(1, self._layout.width), row["arguments"])
        instance, row = made.instance, {name: _copy(value) for name, value in row.items()}
        if row["extra"]:
            instance.load_state_dict({**instance.state_dict(), **row["extra"]})
        for i, group in enumerate(instance.param_groups):
            group.update(row["groups"][i])
        for i, parameter in enumerate(_parameters(instance)):
            instance.state[parameter] = row["state"][i]
        instance.state.update(row["shared"])
        return made

    def _made(self, row: Tensor, arguments: dict[str, Any]) -> Made:
        views = self._layout.views(row)
        groups = [
            {"params": [nn.Parameter(view[0]) for name, view in views.items() if name.startswith(part + ".")]}
            for part in PARTS
        ]
        instance = self._cls(groups, **arguments)
        if hasattr(instance, "train"):
            instance.train()
        return Made(instance, arguments)

    def _accumulated(self, row: Tensor, instance: Instance) -> Tensor:
        """The accumulators at which an instance is judged, ``[1, P]``; the row itself before the first step."""
        for view, parameter in zip(self._layout.views(row).values(), _parameters(instance), strict=True):
            if state := instance.state.get(parameter, {}):
                view.copy_(state[self._evaluated_at])
        return row

    def _moved(self, row: Tensor, instance: Any) -> Tensor:
        """Where an instance's ``eval`` moves a copy of its row ``[1, P]``; the instance stays as it was."""
        self._point(instance, row, torch.zeros_like(row))
        instance.eval()
        there = row.clone()
        instance.train()
        return there

    def _point(self, instance: Instance, row: Tensor, grads: Tensor) -> None:
        """Lays the instance's parameters over a member's row ``[1, P]``, and its gradients over theirs."""
        values, slopes = self._layout.views(row).values(), self._layout.views(grads).values()
        for parameter, value, slope in zip(_parameters(instance), values, slopes, strict=True):
            parameter.data, parameter.grad = value[0], slope[0]

    def _arguments(self, hparams: Hyperparameters, k: int, column: int) -> dict[str, Any]:
        """Member k's hyperparameters as the class's own arguments; defaults where none are given."""
        values = {name: _value(entry, hparams.get(name), k, column) for name, entry in self.hyperparameters.items()}
        pairs = {pair: tuple(values.pop(name) for name in names) for pair, names in PAIRS.items() if names[0] in values}
        return {**values, **pairs}


def lift_optimizer(
    name: str,
    cls: type[Instance],
    source: Source | None = None,
    *,
    evaluated_at: str | None = None,
    family: str = "other",
    contains: tuple[str, ...] = (),
    **defaults: float,
) -> None:
    """Registers a class of torch.optim's kind as the optimizer ``name``, after trying a few steps of it.

    Its schema is read from its signature: well-known names have their domains, other numbers any value; arguments whose
    default is no finite number keep that default.

    Args:
        evaluated_at: the accumulator in its state at which a run is judged, for a class that averages its parameters.
        family, contains: what it is one of, and the optimizers that are special cases of it.
        defaults: defaults where the class has none, or others.

    Raises:
        ValueError: it needs more than gradients and the loss, cannot train matrices and vectors alike, does not go on
            from its own state as it would have, or moves what has no gradient.
    """
    hyperparameters = _schema(name, cls, defaults)
    if problem := tried(cls, Lifted(cls, hyperparameters, SAMPLE, evaluated_at), evaluated_at):
        raise ValueError(f"{name}: {problem}")
    _add(name, cls, hyperparameters, source, evaluated_at, family, contains)


def add_known(
    name: str,
    cls: type[Instance],
    source: Source,
    *,
    evaluated_at: str | None = None,
    family: str,
    contains: tuple[str, ...] = (),
) -> None:
    """Registers a class that is known to work, untried: the first step of any takes seconds of torch's imports."""
    _add(name, cls, _schema(name, cls, {}), source, evaluated_at, family, contains)


def _add(
    name: str,
    cls: type[Instance],
    hyperparameters: Schema,
    source: Source | None,
    evaluated_at: str | None,
    family: str,
    contains: tuple[str, ...],
) -> None:
    def factory(layout: Layout) -> Lifted:
        return Lifted(cls, hyperparameters, layout, evaluated_at)

    factory.__doc__ = f"{cls.__name__} of the package {cls.__module__.split('.')[0]}, one instance per member."
    optimizers.add(name, factory, factory, source, hyperparameters, family=family, contains=contains)


def _schema(name: str, cls: type[Instance], defaults: Mapping[str, float]) -> Schema:
    found: dict[str, Hyperparameter] = {}
    for argument, parameter in inspect.signature(cls.__init__).parameters.items():
        default = defaults.get(argument, parameter.default)
        if argument in LEFT_OUT or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if default is parameter.empty:
            raise ValueError(f"{name}: {cls.__name__} gives {argument} no default; name one: {argument}=...")
        if argument in PAIRS and len(default) == len(PAIRS[argument]):
            found |= {n: _entry(n, defaults.get(n, d), float) for n, d in zip(PAIRS[argument], default, strict=True)}
        elif isinstance(default, (bool, int, float)) and math.isfinite(default):
            found[argument] = _entry(argument, default, parameter.annotation)
    for wanted in {"lr", *defaults} - set(found):
        raise ValueError(f"{name}: {cls.__name__} has no number called {wanted} (it has {', '.join(found)})")
    return found


def _entry(name: str, default: bool | float, annotation: object) -> Hyperparameter:
    """The law of an argument: by its name where that is well known, else by its default and annotation."""
    if isinstance(default, bool):
        return Hyperparameter(name, bool, Domain("true or false", scale="choice"), default)
    whole = isinstance(default, int) and "float" not in str(annotation)
    kind, domain = get_args(DOMAINS.get(name, ANY_INTEGER if whole else ANY_NUMBER))
    if not domain.admits(default):  # a well-known name with another meaning
        kind, domain = get_args(ANY_INTEGER if whole else ANY_NUMBER)
    return Hyperparameter(name, kind, domain, kind(default))


def _value(entry: Hyperparameter, given: Tensor | None, k: int, column: int) -> Any:
    if given is None:
        return entry.default
    return entry.kind(given[k, column if given.shape[1] > 1 else 0].item())


def _parameters(instance: Instance) -> list[nn.Parameter]:
    return [parameter for group in instance.param_groups for parameter in group["params"]]


def _without_gradients(group: dict[str, Any]) -> None:
    for parameter in group["params"]:
        parameter.grad = None


def _copy(value: Any) -> Any:
    """A copy of tensors in containers."""
    if isinstance(value, dict):
        return {name: _copy(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_copy(entry) for entry in value])
    return value.clone() if isinstance(value, Tensor) else value
