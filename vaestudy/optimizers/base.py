"""What an optimizer is: one protocol, and two doors into it.

*Rule*: write the paper's update for one member, decorate it with ``@rule``, done. *Lift*: any ``torch.optim.Optimizer``
by its class name (``lift.py``). An optimizer that needs more (a shifted point, a second gradient, weight noise)
implements the protocol itself, as ``ivon.py`` does; the trainer never names an optimizer.

Letters: K members, P parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor

from vaestudy.hyperparameters import Schema, schema
from vaestudy.params import Layout
from vaestudy.registry import Registry, Source

GradFn = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Parameters ``[K, P]`` to gradients ``[K, P]`` and losses ``[K]`` (mean negative ELBO per example, nats)."""

WeightNoise = Callable[[], Tensor]
"""Standard normals ``[K, P]`` of this step, a function of each member's seed and step only."""

Hyperparameters = Mapping[str, Tensor]
"""By name: ``[K, 1]``, and ``lr`` as ``[K, 1]`` or, with separate rates per part, ``[K, P]``."""

Row = dict[str, Any]
"""One member's state as tensors, numbers and containers of them: what ``torch.load(weights_only=True)`` accepts."""


class Optimizer(Protocol):
    """Updates the parameters of K members at once; rows never meet."""

    @property
    def hyperparameters(self) -> Schema:
        """Names, legal values and defaults."""
        ...

    def init(self, params: Tensor, hparams: Hyperparameters) -> Any:
        """The state before the first step for ``params`` ``[K, P]``."""
        ...

    def step(
        self, grad_fn: GradFn, params: Tensor, state: Any, hparams: Hyperparameters, noise: WeightNoise
    ) -> tuple[Tensor, Any, Tensor]:
        """One update: new parameters ``[K, P]``, new state, losses ``[K]``. May overwrite what it was given."""
        ...

    def eval_params(self, params: Tensor, state: Any) -> Tensor:
        """Where to evaluate, ``[K, P]``; for most methods the parameters themselves."""
        ...

    def get_row(self, state: Any, k: int) -> Row:
        """A copy of member k's state."""
        ...

    def put_rows(self, rows: list[Row]) -> Any:
        """The state of as many members as there are rows, in their order."""
        ...


OptimizerFactory = Callable[[Layout], Optimizer]
"""Makes an optimizer for members with this layout."""

optimizers: Registry[OptimizerFactory] = Registry("optimizer")


class TensorState:
    """Row handling for states that are a dict of tensors with a leading member axis."""

    def get_row(self, state: dict[str, Tensor], k: int) -> Row:
        return {name: tensor[k].clone() for name, tensor in state.items()}

    def put_rows(self, rows: list[Row]) -> dict[str, Tensor]:
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def eval_params(self, params: Tensor, state: Any) -> Tensor:
        return params


Update = Callable[..., tuple[Tensor, ...]]
"""``(theta, g, *slots, t, **hyperparameters) -> (theta, *slots)``, elementwise, nothing changed in place."""

Kernel = Callable[[Tensor, Tensor, dict[str, Tensor], int, Mapping[str, float]], None]
"""``(theta, g, slots, t, hyperparameters)`` of one member: the same numbers as the update, in place and in one pass."""


@dataclass(frozen=True)
class Rule(TensorState):
    """An optimizer given by its update equations.

    Attributes:
        update: the equations; every tensor is ``[K, P]`` or broadcasts to it, ``t`` (1 at the first step) ``[K, 1]``.
        slots: the names of the accumulators, each starting at 0.
        kernel: a fused stand-in for CPU rows, with the same numbers to rounding.
    """

    update: Update
    slots: tuple[str, ...]
    hyperparameters: Schema
    kernel: Kernel | None = None

    def init(self, params: Tensor, hparams: Hyperparameters) -> dict[str, Tensor]:
        zeros = {name: torch.zeros_like(params) for name in self.slots}
        return {"t": torch.zeros(len(params), 1, dtype=params.dtype, device=params.device), **zeros}

    def step(
        self, grad_fn: GradFn, params: Tensor, state: dict[str, Tensor], hparams: Hyperparameters, noise: WeightNoise
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        grads, loss = grad_fn(params)
        t = state["t"] + 1
        if self.kernel is not None and params.device.type == "cpu":
            self._fused(params, grads, state, t, hparams)
            return params, {**state, "t": t}, loss
        slots = [state[name] for name in self.slots]
        params, *slots = self.update(params, grads, *slots, t, **hparams)
        return params, {"t": t, **dict(zip(self.slots, slots, strict=True))}, loss

    def _fused(
        self, params: Tensor, grads: Tensor, state: dict[str, Tensor], t: Tensor, hparams: Hyperparameters
    ) -> None:
        assert self.kernel is not None
        for k, step in enumerate(t[:, 0].tolist()):
            values = {name: tensor[k, 0].item() for name, tensor in hparams.items()}
            for columns, lr in rate_blocks(hparams["lr"][k]):
                slots = {name: state[name][k, columns] for name in self.slots}
                self.kernel(params[k, columns], grads[k, columns], slots, int(step), {**values, "lr": lr})


def rate_blocks(lr: Tensor) -> list[tuple[slice, float]]:
    """A member's learning rate ``[1]`` or ``[P]`` as runs of equal columns."""
    if len(lr) == 1:
        return [(slice(None), lr.item())]
    edges = [0, *(torch.nonzero(lr[1:] != lr[:-1])[:, 0] + 1).tolist(), len(lr)]
    return [(slice(a, b), lr[a].item()) for a, b in pairwise(edges)]


def rule(
    name: str, *, slots: tuple[str, ...] = (), source: Source | None = None, kernel: Kernel | None = None
) -> Callable[[Update], Update]:
    """Registers an update rule as the optimizer ``name``."""

    def register(update: Update) -> Update:
        made = Rule(update, slots, schema(update), kernel)
        optimizers.add(name, partial(_same, made), update, source)
        return update

    return register


def _same(made: Rule, layout: Layout) -> Rule:
    """A rule is elementwise, so it is the same for every layout."""
    return made
