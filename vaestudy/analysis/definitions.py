"""What a workload, a method and a search are beyond their names: the values that make two of them the same.

Cells of different studies are aligned by the digests of these values; what keeps two cells apart is named by its key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vaestudy.analysis.tables import setting

CAP_AND_EVALUATION = ("epochs", "evaluate_every", "precision")
"""Keys of ``train`` that are one value for every method: they belong to the workload."""

INDEPENDENT = ("random", "sobol")
"""Samplers of stage T, whose trials do not depend on each other's results."""

KINDS = {"log": "log-uniform", "uniform": "uniform", "int": "whole numbers", "choice": "one of"}
"""The kinds of ranges by their keys in a study file."""

WHY = {
    "train.epochs": "another cap: longer training reaches lower losses",
    "train.evaluate_every": "evaluated at other epochs, from which checkpoints and stops are chosen",
    "train.precision": "another arithmetic",
    "data.name": "other data",
    "data.binarize": "other pixel values: the likelihoods are of different data",
    "data.seed": "another validation split and binarisation",
    "data.validation": "another validation split, and other examples to train on",
    "data.limit": "another number of training examples",
    "data": "other data",
    "model": "another model",
    "likelihood": "another likelihood: the NLLs are not of the same kind",
    "batch_size": "another number of updates per epoch, and other gradient noise",
    "optimizer": "another optimizer",
    "fixed": "other fixed hyperparameters",
    "search": "another declared search space",
    "shared_search": "another declared search space",
    "train": "another training policy (schedules, annealing, free bits, stages)",
    "allocation": "trials are shared out in another way",
    "sampler": "trials of stage T (independent) and stage P (model-based), or of different models, are never mixed",
    "pruner": "another rule stops trials, so equal numbers of trials do not cost the same",
    "primary": "another primary score: test −ELBO and test NLL are not compared with each other",
    "iwae_samples": "another bound: the importance-weighted NLL falls with the number of samples",
}
"""What it means that a key differs, by the beginning of the key; the longest that fits."""


@dataclass(frozen=True)
class Difference:
    """A key under which two definitions differ, with both values as text."""

    key: str
    old: str
    new: str


@dataclass(frozen=True)
class Definition:
    """The values that define something, by dotted key; what is not set is left out."""

    values: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of the values as canonical JSON."""
        return hashlib.blake2b(_canonical(self.values).encode(), digest_size=8).hexdigest()

    def differences(self, other: Definition) -> tuple[Difference, ...]:
        """The keys whose values differ, from this definition to the other."""
        keys = [*self.values, *(key for key in other.values if key not in self.values)]
        return tuple(
            Difference(key, shown(self.values.get(key)), shown(other.values.get(key)))
            for key in keys
            if _canonical(self.values.get(key)) != _canonical(other.values.get(key))
        )


def workload(study: Mapping[str, Any], name: str) -> Definition:
    """A workload with the cap and the evaluation that every method shares."""
    train = {key: study["train"].get(key) for key in CAP_AND_EVALUATION}
    return Definition(dict(leaves({**study["workloads"][name], "train": train})))


def method(study: Mapping[str, Any], name: str) -> Definition:
    """A method with its declared space and everything of training that a method may decide."""
    own = {key: study["methods"][name][key] for key in ("optimizer", "fixed", "search")}
    train = {key: value for key, value in study["train"].items() if key not in CAP_AND_EVALUATION}
    return Definition(dict(leaves({**own, "shared_search": study["shared_search"], "train": train})))


def conditions(study: Mapping[str, Any]) -> Definition:
    """How winners are chosen and scored: what must agree before any two of their scores are compared."""
    search = study["search"]
    values = {"allocation": search["allocation"], "sampler": stage(search), "pruner": search["pruner"]}
    if search["pruner"]["name"] == "none":
        values["pruner"] = "none"  # its other keys mean nothing then
    scored = {"primary": study["report"]["primary"], "iwae_samples": study["confirm"]["iwae_samples"]}
    return Definition(dict(leaves({**values, **scored})))


def space(study: Mapping[str, Any]) -> Definition:
    """The declared search spaces of all methods."""
    spaces = {name: method["search"] for name, method in study["methods"].items()}
    return Definition(dict(leaves({"methods": spaces, "shared_search": study["shared_search"]})))


def stage(search: Mapping[str, Any]) -> str:
    """The protocol's stage of a search: T for independent trials, P with the name of the model-based sampler."""
    name = search["sampler"]["name"]
    return "T (independent trials)" if name in INDEPENDENT else f"P (model-based trials: {name})"


def range_text(entry: Mapping[str, Any]) -> str:
    """A declared range in words: ``log-uniform [1e-05, 1]``, ``one of [0, 0.25]``; with its condition."""
    kind = next(kind for kind in KINDS if entry.get(kind) is not None)
    ends = ", ".join(setting(value) for value in entry[kind])
    when = entry.get("when") or {}
    condition = " and ".join(f"{key} = {shown(value)}" for key, value in when.items())
    return f"{KINDS[kind]} [{ends}]" + (f" where {condition}" if condition else "")


def is_range(value: Any) -> bool:
    """Whether a value of a study is a searched range."""
    return isinstance(value, Mapping) and any(value.get(kind) is not None for kind in KINDS)


def why(key: str) -> str:
    """What it means that two workloads, methods or searches differ in a key."""
    parts = key.split(".")
    return next(WHY[start] for n in range(len(parts), 0, -1) if (start := ".".join(parts[:n])) in WHY)


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a study's section by dotted key; a range and a list are one value, what is not set is left out."""
    for name, value in tree.items():
        key = f"{path}.{name}" if path else name
        if is_range(value):
            yield key, {part: content for part, content in value.items() if content is not None}
        elif isinstance(value, Mapping):
            yield from leaves(value, key)
        elif value is not None:
            yield key, value


def _canonical(value: Any) -> str:
    """JSON that is the same for equal values: 1 and 1.0 are, 1 and true are not."""
    return json.dumps(_whole(value), sort_keys=True, separators=(",", ":"))


def _whole(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown(value: Any) -> str:
    """A value of a study in words."""
    if value is None:
        return "not set"
    if is_range(value):
        return range_text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items() if item is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    return setting(value)


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
