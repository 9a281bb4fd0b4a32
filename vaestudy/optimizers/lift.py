"""The second door: any ``torch.optim.Optimizer`` whose step needs only gradients, K instances side by side.

Each member has an instance of its own on named, shaped views of its row, so that methods which look at shapes, or sum
over a parameter group, see one member only. Encoder and decoder are two parameter groups, for rates of their own.

Letters: K members, P parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from vaestudy.hyperparameters import Decay, Domain, Fraction, Hyperparameter, NonNegative, Positive, Schema
from vaestudy.optimizers.base import GradFn, Hyperparameters, Row, WeightNoise, optimizers
from vaestudy.params import PARTS, Layout
from vaestudy.registry import Source

LEFT_OUT = {"params", "foreach", "fused", "capturable", "differentiable", "maximize"}
"""Arguments that say how to compute, not what; ``maximize`` would contradict the objective."""

PAIRS = {"betas": ("beta1", "beta2")}

DOMAINS: dict[str, Any] = {
    "lr": Positive,
    "beta1": Decay,
    "beta2": Decay,
    "momentum": Decay,
    "alpha": Decay,
    "rho": Decay,
    "eps": NonNegative,
    "weight_decay": NonNegative,
    "dampening": Fraction,
    "lr_decay": NonNegative,
    "lambd": NonNegative,
    "t0": NonNegative,
    "momentum_decay": NonNegative,
    "initial_accumulator_value": NonNegative,
}
ANY_NUMBER = Annotated[float, Domain("a number")]


class Lifted:
    """An optimizer class of torch's kind as an optimizer of K members; the state is one instance per member."""

    def __init__(self, cls: type[torch.optim.Optimizer], hyperparameters: Schema, layout: Layout):
        self.hyperparameters = hyperparameters
        self._cls = cls
        self._layout = layout

    def init(self, params: Tensor, hparams: Hyperparameters) -> list[torch.optim.Optimizer]:
        return [self._instance(params.dtype, params.device, self._arguments(hparams, k)) for k in range(len(params))]

    def step(
        self,
        grad_fn: GradFn,
        params: Tensor,
        state: list[torch.optim.Optimizer],
        hparams: Hyperparameters,
        noise: WeightNoise,
    ) -> tuple[Tensor, list[torch.optim.Optimizer], Tensor]:
        grads, loss = grad_fn(params)
        for k, instance in enumerate(state):
            self._point(instance, params[k : k + 1], grads[k : k + 1])
            for part, group in zip(PARTS, instance.param_groups, strict=True):
                group.update(self._arguments(hparams, k, self._layout.columns(part).start))
            instance.step()
        return params, state, loss

    def eval_params(self, params: Tensor, state: list[torch.optim.Optimizer]) -> Tensor:
        return params

    def get_row(self, state: list[torch.optim.Optimizer], k: int) -> Row:
        return {
            "state": {
                index: {name: _copy(value) for name, value in entry.items()}
                for index, entry in state[k].state_dict()["state"].items()
            }
        }

    def put_rows(self, rows: list[Row]) -> list[torch.optim.Optimizer]:
        made = []
        for row in rows:
            like = next((v for e in row["state"].values() for v in e.values() if _is_moment(v)), torch.zeros(()))
            instance = self._instance(like.dtype, like.device, {})
            groups = instance.state_dict()["param_groups"]
            state = {
                index: {name: _copy(value) for name, value in entry.items()} for index, entry in row["state"].items()
            }
            instance.load_state_dict({"state": state, "param_groups": groups})
            made.append(instance)
        return made

    def _instance(
        self, dtype: torch.dtype, device: torch.device, arguments: Mapping[str, Any]
    ) -> torch.optim.Optimizer:
        blank = self._layout.views(torch.zeros(1, self._layout.width, dtype=dtype, device=device))
        groups = [
            {"params": [nn.Parameter(view[0]) for name, view in blank.items() if name.startswith(part + ".")]}
            for part in PARTS
        ]
        return self._cls(groups, **(arguments or self._arguments({}, 0)))

    def _point(self, instance: torch.optim.Optimizer, row: Tensor, grads: Tensor) -> None:
        """Lays the instance's parameters over a member's row ``[1, P]``, and its gradients over theirs."""
        parameters = [p for group in instance.param_groups for p in group["params"]]
        values, slopes = self._layout.views(row).values(), self._layout.views(grads).values()
        for parameter, value, slope in zip(parameters, values, slopes, strict=True):
            parameter.data, parameter.grad = value[0], slope[0]

    def _arguments(self, hparams: Hyperparameters, k: int, column: int = 0) -> dict[str, Any]:
        """Member k's hyperparameters as the class's own arguments; defaults where none are given."""
        values = {name: _value(entry, hparams.get(name), k, column) for name, entry in self.hyperparameters.items()}
        pairs = {pair: tuple(values.pop(name) for name in names) for pair, names in PAIRS.items() if names[0] in values}
        return {**values, **pairs}


def lift_optimizer(
    name: str, cls: type[torch.optim.Optimizer], source: Source | None = None, **defaults: float
) -> None:
    """Registers a torch.optim class as the optimizer ``name``.

    Its schema is read from its signature: well-known names have their domains, other numbers any value; arguments whose
    default is no number keep that default.

    Args:
        defaults: published defaults where the class has none, or others.

    Raises:
        ValueError: its step evaluates a closure, which would hide gradient evaluations from the count.
    """
    closure = inspect.signature(cls.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ValueError(
            f"{name}: {cls.__name__}.step evaluates a closure; an optimizer that needs several gradients "
            "implements the protocol in vaestudy.optimizers.base"
        )
    hyperparameters = _schema(cls, defaults)

    def factory(layout: Layout) -> Lifted:
        return Lifted(cls, hyperparameters, layout)

    factory.__doc__ = f"{cls.__name__} as torch.optim has it, one instance per member."
    optimizers.add(name, factory, factory, source, hyperparameters)


def _schema(cls: type[torch.optim.Optimizer], defaults: Mapping[str, float]) -> Schema:
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        if name in PAIRS:
            found |= dict(zip(PAIRS[name], parameter.default, strict=True))
        elif name not in LEFT_OUT and isinstance(parameter.default, (bool, int, float)):
            found[name] = parameter.default
    return {name: _entry(name, default) for name, default in {**found, **defaults}.items()}


def _entry(name: str, default: bool | float) -> Hyperparameter:
    if isinstance(default, bool):
        return Hyperparameter(name, bool, Domain("true or false", scale="choice"), default)
    domain = DOMAINS.get(name, ANY_NUMBER).__metadata__[0]
    return Hyperparameter(name, float, domain, float(default))


def _value(entry: Hyperparameter, given: Tensor | None, k: int, column: int) -> Any:
    if given is None:
        return entry.default
    value = given[k, column if given.shape[1] > 1 else 0].item()
    return bool(value) if entry.kind is bool else value


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _is_moment(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


# Left out: LBFGS evaluates a closure, SparseAdam wants sparse gradients, Muon takes matrices only and leaves biases to
# another optimizer.
for _class in (
    torch.optim.SGD,
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.Adamax,
    torch.optim.Adagrad,
    torch.optim.Adadelta,
    torch.optim.RMSprop,
    torch.optim.Rprop,
    torch.optim.ASGD,
    torch.optim.Adafactor,
):
    lift_optimizer(f"torch.{_class.__name__}", _class)
