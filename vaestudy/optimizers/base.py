"""What an optimizer is: one protocol, and two doors into it.

*Rule*: write the paper's update for one member, decorate it with ``@rule``, done. *Lift*: any ``torch.optim.Optimizer``
by its class name (``lift.py``). An optimizer that needs more (a shifted point, a second gradient, weight noise)
implements the protocol itself, as ``ivon.py`` does; the trainer never names an optimizer.

Letters: K members, P parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from vaestudy.hyperparameters import Schema, schema
from vaestudy.params import PARTS, Layout
from vaestudy.registry import Registry, Source


class GradFn(Protocol):
    """Gradients of this step: of its batch and its latent noise, the same at every call."""

    def __call__(self, at: Tensor, wanted: Sequence[bool] | None = None, /) -> tuple[Tensor, Tensor]:
        """Parameters ``[K, P]`` to gradients ``[K, P]`` and losses ``[K]`` (mean negative ELBO per example, nats).

        A call counts as a gradient evaluation of every member, or of those that it is ``wanted`` for; the others' rows
        mean nothing then.
        """
        ...


class WeightNoise(Protocol):
    """Noise on the weights at this step."""

    def __call__(self, draw: int = 0, /) -> Tensor:
        """Standard normals ``[K, P]``, a function of each member's seed, the step and ``draw``; yours to overwrite."""
        ...


Hyperparameters = Mapping[str, Tensor]
"""By name: ``[K, 1]``, and ``lr`` as ``[K, 1]`` or, with separate rates per part, ``[K, P]``, constant in a part."""

Frozen = Sequence[str | None]
"""For each member the part that stands still in this step, ``encoder`` or ``decoder``, or None."""

Row = dict[str, Any]
"""One member's state as tensors, numbers and containers of them: what ``torch.load(weights_only=True)`` accepts."""


@runtime_checkable
class WeightPosterior(Protocol):
    """What an optimizer has besides that learns a distribution of the weights and not a point."""

    def sample(self, params: Tensor, state: Any, hparams: Hyperparameters, eps: Tensor) -> Tensor:
        """A draw of the weights ``[K, P]`` from standard normals ``eps`` ``[K, P]``."""
        ...


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
        self,
        grad_fn: GradFn,
        params: Tensor,
        state: Any,
        hparams: Hyperparameters,
        noise: WeightNoise,
        frozen: Frozen | None = None,
    ) -> tuple[Tensor, Any, Tensor]:
        """One update: new parameters ``[K, P]``, new state, losses ``[K]``. May overwrite what it was given.

        What is ``frozen`` is left as it was, and so is all that is kept about it: accumulators, the count of steps. It
        takes no weight decay and no noise, and its gradients are 0. Once it is free again it trains like a parameter of
        torch's that had no gradient meanwhile.
        """
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
"""Their families: ``sgd``, ``adam``, ``rmsprop``, ``variational``, ``other``.

What one ``contains`` is what it becomes under some hyperparameters: exactly, or as closely as one likes in a limit.
With ``eps`` far above the root of the second moment and ``lr / eps`` held, Adam and RMSprop step like SGD with momentum
(Choi et al. 2019, arXiv:1910.05446, Appendix A); Adam but for the correction of its first moment, a factor
1 / (1 - beta1^t) on the rate that is gone after some 1 / (1 - beta1) updates. So a study's *space* of Adam includes
momentum only where ``eps`` is searched that far. Weight decay is left aside: AdamW is Adam where neither decays.
"""


class TensorState:
    """Row handling for states that are a dict of tensors with a leading member axis."""

    def get_row(self, state: dict[str, Tensor], k: int) -> Row:
        return {name: tensor[k].clone() for name, tensor in state.items()}

    def put_rows(self, rows: list[Row]) -> dict[str, Tensor]:
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def eval_params(self, params: Tensor, state: Any) -> Tensor:
        return params


class CountedState(TensorState):
    """Tensors and the count of steps ``t``: ``[K, 1]``, or ``[K, parts]`` after a part has stood still.

    A row has the count of each part, so that it is the same whatever the other members have frozen.
    """

    def get_row(self, state: dict[str, Tensor], k: int) -> Row:
        row = super().get_row(state, k)
        return {**row, "t": row["t"].expand(len(PARTS)).clone()}

    def put_rows(self, rows: list[Row]) -> dict[str, Tensor]:
        state = super().put_rows(rows)
        t = state["t"]
        return {**state, "t": t[:, :1] if torch.equal(t[:, :1].expand_as(t), t) else t}


def counted(t: Tensor, frozen: Frozen | None) -> Tensor:
    """The counts of steps after one more step."""
    if frozen is None:
        return t + 1
    moving = [[part != still for part in PARTS] for still in frozen]
    return t + torch.tensor(moving, dtype=t.dtype, device=t.device)


Update = Callable[..., tuple[Tensor, ...]]
"""``(theta, g, *slots, t, **hyperparameters) -> (theta, *slots)``, elementwise, nothing changed in place."""

Kernel = Callable[[Tensor, Tensor, dict[str, Tensor], int, Mapping[str, float]], None]
"""``(theta, g, slots, t, hyperparameters)`` of one member: the same numbers as the update, in place and in one pass."""

BLOCK = 2**16
"""Columns that a CPU updates at a time, so that temporaries stay in cache: twice as fast where workers share memory."""


def apply(update: Update, outputs: Sequence[Tensor], arguments: Sequence[Tensor], hparams: Hyperparameters) -> None:
    """Overwrites ``outputs`` with ``update(*arguments, **hparams)``; an argument may be an output.

    Every tensor is ``[K, P]`` or ``[K, 1]``, and the update elementwise: a CPU takes it a block of a row at a time.
    """
    if outputs[0].device.type != "cpu":
        _overwrite(outputs, update(*arguments, **hparams))
        return
    tensors = [*outputs, *arguments, *hparams.values()]
    start = len(outputs)
    for k in range(len(outputs[0])):
        for block in zip(*(_blocks(tensor[k : k + 1], outputs[0].shape[1]) for tensor in tensors), strict=True):
            values = block[start : start + len(arguments)]
            named = dict(zip(hparams, block[start + len(arguments) :], strict=True))
            _overwrite(block[:start], update(*values, **named))


def apply_by_part(
    update: Update,
    outputs: Sequence[Tensor],
    arguments: Sequence[Tensor],
    t: Tensor,
    hparams: Hyperparameters,
    parts: Sequence[slice],
    frozen: Frozen | None,
) -> None:
    """``apply`` with the counts of steps ``t`` as the last argument, leaving alone what is ``frozen``."""
    if t.shape[1] == 1:  # no part has ever stood still
        apply(update, outputs, [*arguments, t], hparams)
        return
    for i, part in enumerate(parts):
        for rows in _moving(PARTS[i], frozen, len(t)):

            def cut(tensor: Tensor, rows: slice = rows, part: slice = part) -> Tensor:
                return tensor[rows, part] if tensor.shape[1] > 1 else tensor[rows]

            named = {name: cut(value) for name, value in hparams.items()}
            apply(update, [*map(cut, outputs)], [*map(cut, arguments), t[rows, i : i + 1]], named)


def _moving(part: str, frozen: Frozen | None, members: int) -> list[slice]:
    """The rows in which a part moves: all at once, or one by one."""
    moving = [k for k in range(members) if frozen is None or frozen[k] != part]
    return [slice(0, members)] if len(moving) == members else [slice(k, k + 1) for k in moving]


def _blocks(row: Tensor, width: int) -> Sequence[Tensor]:
    """A row ``[1, P]`` in blocks, or ``[1, 1]`` as often as a row of ``width`` has blocks."""
    return torch.split(row, BLOCK, dim=1) if row.shape[1] == width else [row] * -(-width // BLOCK)


def _overwrite(outputs: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for output, value in zip(outputs, values, strict=True):
        output.copy_(value)


@dataclass(frozen=True)
class Rule(CountedState):
    """An optimizer given by its update equations.

    Attributes:
        update: the equations; every tensor is ``[K, P]`` or broadcasts to it, ``t`` (1 at the first step) ``[K, 1]``.
        slots: the names of the accumulators, each starting at 0.
        kernel: a fused stand-in for CPU rows, with the same numbers to rounding.
        parts: the columns of the parts, which may have rates of their own and may stand still.
    """

    update: Update
    slots: tuple[str, ...]
    hyperparameters: Schema
    kernel: Kernel | None = None
    parts: tuple[slice, ...] = (slice(0, None),)

    def init(self, params: Tensor, hparams: Hyperparameters) -> dict[str, Tensor]:
        zeros = {name: torch.zeros_like(params) for name in self.slots}
        return {"t": torch.zeros(len(params), 1, dtype=params.dtype, device=params.device), **zeros}

    def step(
        self,
        grad_fn: GradFn,
        params: Tensor,
        state: dict[str, Tensor],
        hparams: Hyperparameters,
        noise: WeightNoise,
        frozen: Frozen | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        grads, loss = grad_fn(params)
        state = {**state, "t": counted(state["t"], frozen)}
        if self.kernel is not None and params.device.type == "cpu":
            self._fused(self.kernel, params, grads, state, hparams, frozen)
        else:
            slots = [state[name] for name in self.slots]
            apply_by_part(
                self.update, [params, *slots], [params, grads, *slots], state["t"], hparams, self.parts, frozen
            )
        return params, state, loss

    def _fused(
        self,
        kernel: Kernel,
        params: Tensor,
        grads: Tensor,
        state: dict[str, Tensor],
        hparams: Hyperparameters,
        frozen: Frozen | None,
    ) -> None:
        table = zip(*(tensor[:, 0].tolist() for tensor in hparams.values()), strict=True)
        lr = hparams["lr"]
        for k, (counts, row) in enumerate(zip(state["t"].tolist(), table, strict=True)):
            values = dict(zip(hparams, row, strict=True))
            for part, t in self._pieces(counts, lr.shape[1] > 1, frozen[k] if frozen else None):
                values["lr"] = lr[k, part.start if lr.shape[1] > 1 else 0].item()
                slots = {name: state[name][k, part] for name in self.slots}
                kernel(params[k, part], grads[k, part], slots, int(t), values)

    def _pieces(self, counts: Sequence[float], rates: bool, still: str | None) -> list[tuple[slice, float]]:
        """The columns of a row that move as one, each with its count of steps: all, or part by part."""
        if still is None and not rates and len(set(counts)) == 1:
            return [(slice(0, None), counts[0])]
        each = counts if len(counts) > 1 else [*counts] * len(self.parts)
        pieces = zip(PARTS, self.parts, each, strict=True)
        return [(columns, t) for name, columns, t in pieces if name != still]


def rule(
    name: str,
    *,
    slots: tuple[str, ...] = (),
    source: Source | None = None,
    kernel: Kernel | None = None,
    family: str = "other",
    contains: tuple[str, ...] = (),
) -> Callable[[Update], Update]:
    """Registers an update rule as the optimizer ``name``, of a family, with the optimizers that it contains."""

    def register(update: Update) -> Update:
        made = Rule(update, slots, schema(update), kernel)
        optimizers.add(name, partial(_with_parts, made), update, source, family=family, contains=contains)
        return update

    return register


def _with_parts(made: Rule, layout: Layout) -> Rule:
    """A rule is elementwise: of a layout it need know only where the rate may change."""
    return replace(made, parts=tuple(layout.columns(part) for part in PARTS))
