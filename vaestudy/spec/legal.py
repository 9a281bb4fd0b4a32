"""What a method may fix and search: every legal key, and which values it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError

from vaestudy.errors import UsageError
from vaestudy.hyperparameters import Hyperparameter, Schema
from vaestudy.registry import Entry, Registry
from vaestudy.schedules import schedules
from vaestudy.spec.messages import described, violations
from vaestudy.spec.models import Range, Train
from vaestudy.spec.settings import SHORT, TRAIN_SIZE, set_in

Check = Callable[[Any], str | None]
"""What law a value breaks, or None."""

EQUAL_FOR_ALL = frozenset({"epochs", "evaluate_every", "precision"})
"""Keys of ``train`` that are one value for the whole study: trials are compared at equal cost."""

NOMINAL_SIZE = 1000
"""Stands for the word ``train_size`` where only the kind of value matters."""


def legal_keys(optimizer: Entry[Any], train: Train) -> dict[str, Check]:
    """Every key that a method with this optimizer may fix or search, with the check of its values."""
    schema = optimizer.hyperparameters
    own: dict[str, Check] = {name: partial(_own_problem, entry) for name, entry in schema.items()}
    paths: dict[str, Check] = {path: partial(_train_problem, train, path) for path in _train_paths(train)}
    short = {name: paths[path] for name, path in SHORT.items()}
    return {**own, **_decays(schema), **short, **paths}


def ends(entry: Range) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The values by which a range is judged, each with its path inside the range."""
    for kind, values in (("log", entry.log), ("uniform", entry.uniform), ("int", entry.int_), ("choice", entry.choice)):
        for index, value in enumerate(values or ()):
            yield (kind, index), value


def _decays(schema: Schema) -> dict[str, Check]:
    return {
        f"one_minus_{name}": partial(_decay_problem, entry)
        for name, entry in schema.items()
        if entry.domain.scale == "one_minus_log" and f"one_minus_{name}" not in schema
    }


def _own_problem(entry: Hyperparameter, value: Any) -> str | None:
    if value == TRAIN_SIZE and entry.kind is not str:
        value = NOMINAL_SIZE
    if entry.kind is int and isinstance(value, float):
        return f"expected {entry.domain.says}, got {value!r}; search it with {{int: [lo, hi]}}"
    return entry.problem(value)


def _decay_problem(entry: Hyperparameter, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not entry.domain.admits(1 - value):
        return f"expected a number in (0, 1], which is 1 - {entry.name}, got {described(value)}"
    return None


def _train_problem(train: Train, path: str, value: Any) -> str | None:
    """Judges a value by validating the whole ``train`` with it in place."""
    tree = train.model_dump()
    set_in(tree, path.removeprefix("train.").split("."), value)
    try:
        Train.model_validate(tree)
    except ValidationError as error:
        return next(violations(error, tree)).message
    return name_problem(schedules, value) if path.endswith("schedule") else None


def name_problem(registry: Registry[Any], name: str) -> str | None:
    """Why ``name`` is no component of ``registry``, with the nearest that is."""
    try:
        registry.find(name)
    except UsageError as error:
        return str(error)
    return None


def _train_paths(train: Train) -> list[str]:
    tree = {key: value for key, value in train.model_dump().items() if key not in EQUAL_FOR_ALL}
    stages = {phase.pop("name"): phase for phase in tree["stages"]}
    return [f"train.{path}" for path in _leaves({**tree, "stages": stages})]


def _leaves(tree: Mapping[str, Any]) -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from (f"{key}.{leaf}" for leaf in _leaves(value))
        else:
            yield key
