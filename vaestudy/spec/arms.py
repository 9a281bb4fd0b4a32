"""The laws of methods: what they fix and search is known, legal, given once, and trains something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vaestudy.errors import nearest
from vaestudy.optimizers import optimizers
from vaestudy.spec.legal import Check, ends, legal_keys, name_problem
from vaestudy.spec.messages import Keys, Violation, dotted
from vaestudy.spec.models import Method, Range, Study
from vaestudy.spec.settings import canonical, largest_shares, possible, space

PARTS = ("encoder", "decoder")


def _known(study: Study) -> Iterator[tuple[str, Method]]:
    """The methods whose optimizer exists."""
    return ((name, method) for name, method in study.methods.items() if method.optimizer in optimizers)


def _searched(study: Study, name: str) -> Iterator[tuple[Keys, str, Range]]:
    """Everything searched for a method, with where the file says so."""
    for key, entry in study.methods[name].search.items():
        yield ("methods", name, "search", key), key, entry
    for key, entry in study.shared_search.items():
        yield ("shared_search", key), key, entry


def known_optimizers(study: Study) -> Iterator[Violation]:
    """Every optimizer is registered."""
    for name, method in study.methods.items():
        if problem := name_problem(optimizers, method.optimizer):
            yield Violation(("methods", name, "optimizer"), problem)


def given_once(study: Study) -> Iterator[Violation]:
    """No value is both fixed and searched, nor given under two spellings."""
    for name, method in study.methods.items():
        given: list[tuple[Keys, str]] = [(("methods", name, "fixed", key), key) for key in method.fixed]
        given += [(path, key) for path, key, _ in _searched(study, name)]
        seen: dict[str, Keys] = {}
        for path, key in given:
            first = seen.setdefault(canonical(key), path)
            if first != path:
                yield Violation(path, f"given twice for {name}: {dotted(first)} sets it too")


def legal_values(study: Study) -> Iterator[Violation]:
    """Every key belongs to the optimizer or to training, and every value and range is legal for it."""
    for name, method in _known(study):
        legal = legal_keys(optimizers.find(method.optimizer), study.train)
        for key, value in method.fixed.items():
            yield from _illegal(legal, ("methods", name, "fixed", key), key, {(): value}, method.optimizer)
        for path, key, entry in _searched(study, name):
            yield from _illegal(legal, path, key, dict(ends(entry)), method.optimizer)


def _illegal(
    legal: Mapping[str, Check], path: Keys, key: str, values: Mapping[Keys, Any], optimizer: str
) -> Iterator[Violation]:
    if key not in legal:
        alike = [name for name in legal if name.startswith("train.") == key.startswith("train.")]
        yield Violation(path, f"unknown key for {optimizer} - {nearest(key, alike)}")
        return
    for inner, value in values.items():
        if problem := legal[key](value):
            yield Violation((*path, *inner), problem)


def required_given(study: Study) -> Iterator[Violation]:
    """A hyperparameter without a published default is fixed, or always searched."""
    for name, method in _known(study):
        schema = optimizers.find(method.optimizer).hyperparameters
        always = {canonical(key) for _, key, entry in _searched(study, name) if not entry.when}
        given = always | {canonical(key) for key in method.fixed}
        for key, entry in schema.items():
            if entry.required and key not in given:
                message = f"missing; expected {entry.domain.says}: set it under fixed, or search it unconditionally"
                yield Violation(("methods", name, "fixed", key), message)


def conditions_hold(study: Study) -> Iterator[Violation]:
    """A condition names another searched key of the same method, and values that it can take."""
    for name in study.methods:
        entries = {key: entry for _, key, entry in _searched(study, name)}
        for path, key, entry in _searched(study, name):
            for other, wanted in (entry.when or {}).items():
                if problem := _condition_problem(entries, key, other, wanted):
                    yield Violation((*path, "when", other), problem)


def _condition_problem(entries: Mapping[str, Range], key: str, other: str, wanted: Any) -> str | None:
    if other == key or other not in entries:
        candidates = [name for name in entries if name != key]
        hint = nearest(other, candidates) if candidates else "nothing else is searched"
        return f"{other!r} is no other searched key - {hint}"
    entry = entries[other]
    for value in wanted if isinstance(wanted, tuple) else (wanted,):
        if entry.choice and not any(_same(value, choice) for choice in entry.choice):
            return f"{other} is never {value!r}; it is one of {list(entry.choice)}"
        if entry.int_ and not (type(value) is int and entry.int_[0] <= value <= entry.int_[1]):
            return f"{other} is never {value!r}; it is a whole number in {list(entry.int_)}"
    if not (entry.choice or entry.int_):
        return f"{other} is a continuous range; a condition needs a choice or a range of whole numbers"
    return None


def _same(value: Any, choice: Any) -> bool:
    return value == choice and isinstance(value, bool) == isinstance(choice, bool)


def no_circles(study: Study) -> Iterator[Violation]:
    """Conditions do not depend on one another in a circle."""
    for name in study.methods:
        try:
            space(study, name)
        except ValueError as error:
            yield Violation(("methods", name, "search"), str(error))


def stages_fit(study: Study) -> Iterator[Violation]:
    """The stages' largest shares fit into training, under every method."""
    for name in _methods_with_sound_stages(study):
        total = sum(largest_shares(study, name))
        if total > 1 + 1e-9:
            yield Violation(("train", "stages"), f"under {name} the shares add up to {total:g}; expected at most 1")
            return


def parts_train(study: Study) -> Iterator[Violation]:
    """Neither encoder nor decoder can be frozen in every stage."""
    for name in _methods_with_sound_stages(study):
        stages = [
            possible(study, name, f"train.stages.{stage.name}.freeze", stage.freeze)
            for stage in study.train.stages
            if 0 not in possible(study, name, f"train.stages.{stage.name}.share", stage.share)
        ]
        for part in PARTS:
            if stages and all(part in freezes for freezes in stages):
                message = f"under {name} the {part} can be frozen in every stage: it would never train"
                yield Violation(("train", "stages"), message)
                return


def _methods_with_sound_stages(study: Study) -> Iterator[str]:
    """The methods whose searched and fixed values of stages are legal; ``legal_values`` reports the others."""
    wrong = {violation.path for violation in legal_values(study)}
    for name, method in _known(study):
        paths: list[Keys] = [("methods", name, "fixed", key) for key in method.fixed]
        paths += [path for path, _, _ in _searched(study, name)]
        if not any(path == broken[: len(path)] for path in paths for broken in wrong):
            yield name
