"""What pydantic finds, in a study file's words: a path into the file, what was expected, what was there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vaestudy.errors import nearest
from vaestudy.spec import models
from vaestudy.spec.models import Component, Range, Study

Keys = tuple[str | int, ...]
"""Keys and list indices, from the top of the file."""

EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a word",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "model_type": "a mapping",
    "finite_number": "a finite number",
}
EXPECTED_MODEL = {Component.__name__: "a name, or a mapping with 'name'", Range.__name__: models.RANGE_FORM}
EXPECTED_PATTERN = {
    models.NAME: "a name of at most 64 letters a-z, digits, '_', '.' and '-', a letter or digit first",
    models.PHASE_NAME: "a name of at most 64 letters a-z, digits, '_' and '-', a letter or digit first",
    models.DURATION: "a number above 0 with its unit, such as 90s, 30m, 12h or 2d",
}
SHOWN = 60
"""At most this many characters of a value are repeated in a message."""


class Violation(NamedTuple):
    """A broken law: where in the file, and what would be right."""

    path: Keys
    message: str
    superfluous: bool = False
    """Whether the key has no place there, so that the rest is sound without it."""


def violations(error: ValidationError, tree: Any) -> Iterator[Violation]:
    """Every problem of a validation of ``tree``, one for each place."""
    groups: dict[tuple[Keys, str], list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        kind = "type" if details["type"] in EXPECTED else details["type"]  # the branches of a union: one problem
        path = _path(details["loc"], tree)
        if details["type"] == "missing" and isinstance(details["loc"][-1], str):
            path = (*path, details["loc"][-1])
        groups.setdefault((path, kind), []).append(details)
    for (path, _), group in groups.items():
        yield _violation(path, group)


def dotted(path: Keys) -> str:
    """The path as messages show it, on one line."""
    return ".".join(_printable(str(key)) for key in path)


def _printable(key: str) -> str:
    if key.isprintable() and len(key) <= SHOWN:
        return key
    return described(key)


def described(value: Any) -> str:
    """A value as messages show it: its kind where the kind is wrong, itself where short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"a boolean ({str(value).lower()})"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (tuple, list)):
        return "a list"
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}... ({len(str(value))} characters)"


def _path(location: Keys, tree: Any) -> Keys:
    """The part of a location that lies in the file; pydantic adds the branches of unions to it."""
    path: list[str | int] = []
    for part in location:
        inside = part in tree if isinstance(tree, Mapping) else isinstance(tree, tuple) and part in range(len(tree))
        if inside:
            path.append(part)
            tree = tree[part]
    return tuple(path)


def _violation(path: Keys, group: list[ErrorDetails]) -> Violation:
    details = group[0]
    if details["type"] == "missing" and isinstance(details["loc"][-1], str):
        return Violation(path, "missing; this key is required")
    if details["type"] in ("missing", "too_short", "too_long"):  # a tuple's missing item
        return Violation(path, f"expected {_length(details)}")
    if len(group) > 1:
        finite = any(each["type"] == "finite_number" for each in group)
        expected = "a finite number" if finite else "a number, a word, or true or false"
        return Violation(path, f"expected {expected}, got {described(details['input'])}")
    return Violation(path, _message(path, details), superfluous=details["type"] == "extra_forbidden")


def _message(path: Keys, details: ErrorDetails) -> str:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key - {nearest(str(path[-1]), _known_keys(path[:-1]))}"
    if kind == "value_error":
        return str(context["error"])
    expected = EXPECTED.get(kind)
    if kind == "model_type":
        expected = EXPECTED_MODEL.get(context["class_name"], expected)
    if kind == "string_pattern_mismatch":
        expected = EXPECTED_PATTERN[context["pattern"]]
    what = f"expected {expected}" if expected else details["msg"][0].lower() + details["msg"][1:]
    quote = "; quote it if a word is meant" if kind == "string_type" and isinstance(value, (bool, int, float)) else ""
    return f"{what}, got {described(value)}{quote}"


def _length(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if details["type"] == "too_short" and context["min_length"] == 1:
        return "at least one entry, got none"
    return "a list of two numbers: [low, high]"


def _known_keys(path: Keys) -> list[str]:
    kind: Any = Study
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = next(field.annotation for name, field in kind.model_fields.items() if part in (name, field.alias))
        else:
            kind = get_args(kind)[0 if isinstance(part, int) else 1]
    return [field.alias or name for name, field in kind.model_fields.items()]
