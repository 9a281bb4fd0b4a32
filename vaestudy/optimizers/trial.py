"""Whether a class of torch.optim's kind can be lifted: a few steps of it, stored, restored, with a part frozen."""

from __future__ import annotations

import inspect
import io
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vaestudy.optimizers.base import Optimizer
from vaestudy.params import Layout, Parameter

SAMPLE = Layout([Parameter("encoder.weight", (2, 3)), Parameter("decoder.bias", (3,))])
"""A matrix and a vector, one in each part."""

STEPS = 3
TORCHS = ("state", "param_groups", "defaults")
"""Attributes of every instance; the first two are stored, the third is made anew."""


def tried(cls: type[torch.optim.Optimizer], lifted: Optimizer, evaluated_at: str | None) -> str:
    """Why a class cannot be lifted, in a sentence; empty where it can.

    Args:
        lifted: the class for members with the layout ``SAMPLE``; its states have ``instance``.
    """
    what = cls.__name__
    closure = inspect.signature(cls.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        return (
            f"{what}.step evaluates a closure, which would hide gradient evaluations from the count; "
            "such an optimizer implements the protocol in vaestudy.optimizers.base"
        )
    try:
        params, state = _begun(lifted)
        problem = _not_restored(lifted, params, state) or _moves_frozen(lifted) or _no_average(state, evaluated_at)
    except (TypeError, ValueError, RuntimeError) as error:
        return f"{what} cannot be lifted, one step of it failed: {error}"
    return problem and f"{what} cannot be lifted: {problem}"


def _begun(lifted: Optimizer) -> tuple[Tensor, Any]:
    """A member after the first steps: its parameters ``[1, P]`` and its state."""
    start = torch.linspace(0.5, 1.5, SAMPLE.width)[None]
    return _stepped(lifted, start, lifted.init(start, {}))


def _stepped(
    lifted: Optimizer, params: Tensor, state: Any, frozen: list[str | None] | None = None
) -> tuple[Tensor, Any]:
    for _ in range(STEPS):
        params, state, _ = lifted.step(_gradients, params, state, {}, _no_noise, frozen)
    return params, state


def _gradients(at: Tensor, wanted: Sequence[bool] | None = None, /) -> tuple[Tensor, Tensor]:
    return at + torch.sin(3 * at), at.square().sum(1)


def _no_noise(draw: int = 0, /) -> Tensor:
    raise AssertionError("a class of torch.optim's kind is handed no noise")


def _not_restored(lifted: Optimizer, params: Tensor, state: Any) -> str:
    """What is wrong with a member that was stored and restored."""
    row, buffer = lifted.get_row(state, 0), io.BytesIO()
    if foreign := sorted(set(_foreign(row))):
        return f"it keeps {', '.join(foreign)}; only tensors, numbers, words, lists and mappings of them are stored"
    torch.save(row, buffer)
    buffer.seek(0)
    restored = lifted.put_rows([torch.load(buffer, weights_only=True)])
    before, after = (_attributes(found[0].instance) for found in (state, restored))
    if lost := [name for name, value in before.items() if after.get(name) != value]:
        return f"it keeps {', '.join(lost)} outside its state_dict, so that no run could be resumed as it was left"
    straight, resumed = (_stepped(lifted, params.clone(), found)[0] for found in (state, restored))
    if not torch.equal(straight, resumed):
        return "stored and restored it goes on otherwise: it draws noise, or keeps something outside its state_dict"
    return ""


def _moves_frozen(lifted: Optimizer) -> str:
    """What is wrong with a step in which a part has no gradient."""
    params, state = _begun(lifted)
    part = SAMPLE.columns("encoder")
    before = params[:, part].clone()
    try:
        params, _ = _stepped(lifted, params, state, frozen=["encoder"])
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        return f"it needs a gradient of every parameter, so that no part could be frozen: {error}"
    still = torch.equal(params[:, part], before)
    return "" if still else "it moves parameters that have no gradient, so that no part could be frozen"


def _no_average(state: Any, evaluated_at: str | None) -> str:
    """What is wrong with the accumulator at which a class is judged."""
    if evaluated_at is None:
        return ""
    instance = state[0].instance
    for parameter in (parameter for group in instance.param_groups for parameter in group["params"]):
        kept = instance.state[parameter]
        found = kept.get(evaluated_at)
        if not isinstance(found, Tensor) or found.shape != parameter.shape:
            names = ", ".join(map(str, kept)) or "nothing"
            return f"it has no accumulator {evaluated_at!r} of its parameters' shape to be judged at (it keeps {names})"
    return ""


def _foreign(value: Any) -> Iterator[str]:
    """The types of what a checkpoint cannot hold."""
    if isinstance(value, dict):
        yield from _foreign([*value, *value.values()])
    elif type(value) in (list, tuple):
        for inner in value:
            yield from _foreign(inner)
    elif not (value is None or type(value) in (bool, int, float, str) or isinstance(value, (Tensor, torch.dtype))):
        yield type(value).__name__


def _attributes(instance: Any) -> dict[str, str]:
    """What an instance keeps in attributes of its own, as text."""
    return {name: told for name, value in vars(instance).items() if name not in TORCHS and (told := _told(value))}


def _told(value: Any, depth: int = 4) -> str:
    """Numbers, words and tensors in any containers as text, and objects by their own ``state_dict`` or attributes;
    empty for functions and other things that do not change, and deeper than ``depth``."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {value.tolist()}"
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    if depth == 0 or (callable(value) and not hasattr(value, "state_dict")):
        return ""
    if isinstance(value, Mapping):
        return str({str(key): _told(inner, depth - 1) for key, inner in value.items()})
    if isinstance(value, (list, tuple, set, deque)):
        return str([_told(inner, depth - 1) for inner in value])
    return _told(value.state_dict() if hasattr(value, "state_dict") else getattr(value, "__dict__", None), depth - 1)
