"""What a law is, and how one is said to be broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaestudy.hyperparameters import Hyperparameter, Schema, Value
from vaestudy.registry import Entry


class BrokenLawError(AssertionError):
    """A component breaks a law; the message says which component, which law and what was seen."""

    def __init__(self, kind: str, name: str, law: str, seen: str):
        super().__init__(f"{kind} {name!r} breaks the law '{law}': {seen}")
        self.kind, self.name, self.law, self.seen = kind, name, law, seen


class UnlawfulError(Exception):
    """What a law's function saw that should not be; the law adds who and which."""


@dataclass(frozen=True)
class Law:
    """A sentence that holds for every component of a kind, and the function that tries it.

    Attributes:
        sentence: what holds, without its full stop.
        function: takes a component's name; raises where the law is broken, whatever it raises.
    """

    kind: str
    sentence: str
    function: Callable[[str], None]

    def __call__(self, name: str) -> None:
        """Tries the law on the component called ``name``.

        Raises:
            BrokenLawError: it does not hold.
        """
        try:
            self.function(name)
        except UnlawfulError as seen:
            raise BrokenLawError(self.kind, name, self.sentence, str(seen)) from None
        except Exception as error:  # whatever a component raises where the law wants numbers
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            raise BrokenLawError(self.kind, name, self.sentence, f"it raised {what}") from error

    def __str__(self) -> str:
        return self.sentence


def law(kind: str) -> Callable[[Callable[[str], None]], Law]:
    """Makes a function of a component's name a law of its kind; its docstring is the sentence."""
    return lambda function: Law(kind, (function.__doc__ or "").removesuffix("."), function)


def require(holds: bool, seen: str) -> None:
    """
    Raises:
        UnlawfulError: it does not hold.
    """
    if not holds:
        raise UnlawfulError(seen)


def same(found: Tensor, expected: Tensor, what: str) -> None:
    """
    Raises:
        UnlawfulError: the two are not the same bits; says by how much they differ.
    """
    require(found.shape == expected.shape, f"{what} has shape {tuple(found.shape)}, expected {tuple(expected.shape)}")
    if torch.equal(found, expected):
        return
    gaps = (found.double() - expected.double()).abs()
    others = int((found != expected).sum())
    raise UnlawfulError(f"{what} differs in {others} of {found.numel()} numbers, by up to {float(gaps.max()):.3g}")


def near(found: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """
    Raises:
        UnlawfulError: some number differs by more than ``tolerance``, or by something that is not finite.
    """
    gap = float((found.double() - expected.double()).abs().max())
    require(gap <= tolerance, f"{what} differs by up to {gap:.3g}, more than {tolerance:.3g}")


def described(entry: Entry[Any]) -> None:
    """
    Raises:
        UnlawfulError: the component has no summary, or a default that its own schema forbids.
    """
    require(bool(entry.summary), "its docstring is empty")
    for item in entry.hyperparameters.values():
        require(bool(item.domain.says), f"{item.name} has no law in words")
        problem = None if item.required else item.problem(item.default)
        require(problem is None, f"the default of {item.name} is illegal: {problem}")


def required_arguments(schema: Schema) -> dict[str, Value]:
    """A legal value for each hyperparameter that has no default."""
    return {name: _some_value(item) for name, item in schema.items() if item.required}


def _some_value(item: Hyperparameter) -> Value:
    one: list[Value] = [*item.domain.choices, 1, 0.5, item.domain.low, item.domain.high, True, ""]
    many: list[Value] = [(value,) for value in one if isinstance(value, int)]
    return next(value for value in (many if item.many else one) if item.problem(value) is None)
