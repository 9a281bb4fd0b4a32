"""Families of optimizers, and which contain which, as the registry stated them when the study was launched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaestudy.analysis.frames import Records

KINDS = {
    "sgd": "SGD's kind",
    "adam": "Adam's kind",
    "rmsprop": "RMSprop's kind",
    "variational": "variational inference over the weights",
}
"""The families that the field has claims about, in words."""
NO_FAMILY = ("", "other")


def family(records: Records, method: str) -> str:
    """The family of a method's optimizer; of one that belongs to none, its own name."""
    optimizer = optimizer_of(records, method)
    found = str(entry(records, optimizer)["family"])
    return optimizer if found in NO_FAMILY else found


def kind(name: str) -> str:
    """A family in words: ``Adam's kind``."""
    return KINDS.get(name, name)


def optimizer_of(records: Records, method: str) -> str:
    """The registered name of a method's optimizer."""
    return str(records.study["methods"][method]["optimizer"])


def entry(records: Records, optimizer: str) -> Mapping[str, Any]:
    """What the registry said of an optimizer: its ``family``, what it ``contains``, its ``defaults``."""
    return dict(records.facts["optimizers"][optimizer])
