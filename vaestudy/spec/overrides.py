"""Overrides ``key=value`` of the command line, laid over a study file's nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vaestudy.errors import Problem, SpecError
from vaestudy.spec.reader import Node, read

FLAT = frozenset({"search", "fixed", "shared_search", "tags"})
"""Mappings whose keys contain dots, as in ``shared_search.train.beta.over``."""


def apply_overrides(root: Node, overrides: Sequence[str]) -> Node:
    """The nodes with every ``key=value`` put in its place, in order; values are YAML.

    Raises:
        SpecError: an override has no ``=``, a value that is no YAML, or leads through something that is no mapping;
            lists all of them. Values are not shown: they may be secret.
    """
    problems: list[Problem] = []
    for override in overrides:
        key, sign, text = override.partition("=")
        try:
            if not sign or not key.strip():
                raise _problem(key, "expected key=value")
            root = _put(root, key.strip().split("."), _value(key, text), key.strip())
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return root


def _value(key: str, text: str) -> Node:
    try:
        return _from_override(read(text), key.strip())
    except SpecError as error:
        raise _problem(key, error.problems[0].message) from None


def _from_override(node: Node, key: str) -> Node:
    value = node.value
    if isinstance(value, dict):
        value = {name: _from_override(child, key) for name, child in value.items()}
    elif isinstance(value, tuple):
        value = tuple(_from_override(child, key) for child in value)
    return replace(node, value=value, mark=None, override=key)


def _put(node: Node, parts: list[str], new: Node, key: str, inside: str = "") -> Node:
    """``node`` with ``new`` at the path ``parts``; ``inside`` is the key under which ``node`` itself stands."""
    if not parts:
        return new
    if isinstance(node.value, dict):
        used = _longest_known(parts, node.value) or (len(parts) if inside in FLAT else 1)
        name = ".".join(parts[:used])
        child = node.value.get(name, Node({}, override=key))
        return replace(node, value={**node.value, name: _put(child, parts[used:], new, key, name)})
    if isinstance(node.value, tuple) and parts[0].isdecimal() and int(parts[0]) < len(node.value):
        index = int(parts[0])
        item = _put(node.value[index], parts[1:], new, key)
        return replace(node, value=(*node.value[:index], item, *node.value[index + 1 :]))
    expected = f"an index below {len(node.value)}" if isinstance(node.value, tuple) else "no further key"
    raise _problem(key, f"expected {expected} after {inside or 'the top'!r}, got {parts[0]!r}")


def _longest_known(parts: list[str], known: dict[str, Node]) -> int:
    """How many of the parts make up the longest key that exists, 0 where none does."""
    return next((n for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in known), 0)


def _problem(key: str, message: str) -> SpecError:
    return SpecError([Problem(key.strip(), f"{message} (given as an override)")])
