"""From a study file on disk to a checked, frozen Study, or to every problem with its line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vaestudy.errors import Problem, SpecError, UsageError
from vaestudy.registry import import_plugin
from vaestudy.spec.defaults import written_out
from vaestudy.spec.laws import broken_laws
from vaestudy.spec.messages import Keys, Violation, described, dotted, violations
from vaestudy.spec.models import Study
from vaestudy.spec.overrides import apply_overrides
from vaestudy.spec.reader import Node, read_file

EMPTY = "empty; a study file has at least version, name, workloads, train, methods and search"

MAX_MESSAGE = 1000
"""At most this many characters of a message are shown; what it repeats from the file can be long."""

STAND_INS: dict[str, Any] = {
    "version": 1,
    "name": "unsound",
    "workloads": {
        "unsound": {
            "data": {"name": "digits", "validation": 1},
            "model": "linear",
            "likelihood": "gaussian",
            "batch_size": 1,
        }
    },
    "train": {"epochs": 1},
    "methods": {"unsound": {"optimizer": "sgd"}},
    "search": {"trials": 1},
}
"""Lawful sections in the place of unsound ones, so that the laws can still be asked about the others."""

BY_ENTRY = frozenset({"workloads", "methods", "shared_search"})
"""Mappings from names to ranges and more: an entry is sound or unsound as a whole."""


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """The study that a file describes, after ``key=value`` overrides, with every default written out.

    Raises:
        SpecError: the file cannot be read, or breaks one or more laws; all of them are listed, in the file's order.
    """
    root = apply_overrides(read_file(path), overrides)
    if not isinstance(root.value, dict):
        what = EMPTY if root.value is None else f"expected a mapping at the top, got {described(root.plain())}"
        raise SpecError([Problem("", what, line=1, column=1, file=path)])
    broken, study = _judge(root.plain())
    if broken:
        problems = [_problem(violation, root, path) for violation in broken]
        raise SpecError(sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0)))
    return written_out(study)


def _judge(tree: dict[str, Any]) -> tuple[list[Violation], Study]:
    """Every violation in ``tree``, and the study, with stand-ins in the place of what is unsound."""
    found = list(_import_plugins(tree.get("plugins")))
    names_known = not found
    unsound: frozenset[str] = frozenset()
    try:
        study = Study.model_validate(tree)
    except ValidationError as error:
        broken = list(violations(error, tree))
        found += broken
        tree, unsound = _sound_part(tree, broken)
        study = Study.model_validate(tree)
    if names_known:
        found += broken_laws(study, unsound)
    return found, study


def _import_plugins(modules: Any) -> Iterator[Violation]:
    for index, module in enumerate(modules if isinstance(modules, tuple) else ()):
        if not isinstance(module, str):
            continue  # reported as a wrong type
        try:
            import_plugin(module)
        except UsageError as error:
            yield Violation(("plugins", index), str(error).removeprefix("plugins: "))


def _sound_part(tree: dict[str, Any], broken: Sequence[Violation]) -> tuple[dict[str, Any], frozenset[str]]:
    """``tree`` without what is broken, with stand-ins where something must be; and the keys that it lost.

    A section loses the entry that is broken, or all of itself where it is broken as a whole.
    """
    unsound: set[str] = set()
    for violation in broken:
        path = violation.path
        if violation.superfluous and path[0] not in BY_ENTRY and all(isinstance(key, str) for key in path):
            tree = _without(tree, path)  # the rest of its section is sound
            continue
        path = path[: 2 if isinstance(tree.get(str(path[0])), dict) else 1]
        tree = _without(tree, path)
        unsound.add(".".join(map(str, path)))
    return _completed(tree), frozenset(unsound)


def _completed(tree: dict[str, Any]) -> dict[str, Any]:
    """``tree`` with stand-ins for the required keys that it lacks."""
    for section, stand_in in STAND_INS.items():
        if section in BY_ENTRY or not isinstance(stand_in, dict):
            tree = {**tree, section: tree.get(section) or stand_in}
        else:
            tree = {**tree, section: {**stand_in, **tree.get(section, {})}}
    return tree


def _without(tree: dict[str, Any], path: Keys) -> dict[str, Any]:
    first, rest = str(path[0]), path[1:]
    if rest and first in tree:
        return {**tree, first: _without(tree[first], rest)}
    return {key: value for key, value in tree.items() if key != first}


def _problem(violation: Violation, root: Node, file: Path) -> Problem:
    """The violation at the line of the deepest part of its path that the file has."""
    node = root
    for part in violation.path:
        children: Any = node.value if isinstance(node.value, (dict, tuple)) else {}
        if part not in (children if isinstance(children, dict) else range(len(children))):
            break
        node = children[part]
    key, message = dotted(violation.path), violation.message
    if len(message) > MAX_MESSAGE:
        message = f"{message[:MAX_MESSAGE]} ..."
    if node.mark is None:
        return Problem(key, f"{message} (given by the override of {node.override!r})")
    return Problem(key, message, node.mark.line, node.mark.column, file)
