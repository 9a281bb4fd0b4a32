"""From the study file's ranges to Optuna's parameters.

In a joint search the method is a categorical parameter and each arm a conditional sub-space, its parameters prefixed
by the method's name (``adam.lr``), so that two arms never share a distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna

from vaestudy.spec import Range, applies

METHOD = "method"
"""The name of the categorical parameter of a joint search."""

Spaces = Mapping[str, Mapping[str, Range]]
"""What is searched for each method, conditions after what they depend on (``spec.space``)."""


def draw(trial: optuna.Trial, spaces: Spaces) -> tuple[str, dict[str, Any]]:
    """A trial's method and its values by searched key; a range whose condition does not hold is left out."""
    method = trial.suggest_categorical(METHOD, tuple(spaces)) if len(spaces) > 1 else next(iter(spaces))
    drawn: dict[str, Any] = {}
    for key, entry in spaces[method].items():
        if applies(entry, drawn):
            drawn[key] = _suggest(trial, _parameter(spaces, method, key), entry)
    return method, drawn


def parameters(spaces: Spaces) -> tuple[str, ...]:
    """The names of all parameters that ``draw`` may ask for, in a fixed order."""
    arms = (_parameter(spaces, method, key) for method, space in spaces.items() for key in space)
    return (METHOD, *arms) if len(spaces) > 1 else tuple(arms)


def _parameter(spaces: Spaces, method: str, key: str) -> str:
    return f"{method}.{key}" if len(spaces) > 1 else key


def _suggest(trial: optuna.Trial, name: str, entry: Range) -> Any:
    if entry.log is not None:
        return trial.suggest_float(name, *entry.log, log=True)
    if entry.uniform is not None:
        return trial.suggest_float(name, *entry.uniform)
    if entry.int_ is not None:
        return trial.suggest_int(name, *entry.int_)
    assert entry.choice is not None
    return trial.suggest_categorical(name, entry.choice)
