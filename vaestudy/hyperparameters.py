"""The signature is the schema: a component's keyword-only arguments state names, legal values and defaults.

    def adam(theta, g, m, v, t, *, lr: Positive = 1e-3, beta1: Decay = 0.9, ...): ...

``schema(adam)`` reads that; a bound that may be absent is ``Positive | None``. Nothing else in the project says what a
hyperparameter may be.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

Value = bool | int | float | str | tuple[int, ...] | None


@dataclass(frozen=True)
class Domain:
    """The legal values of one hyperparameter and the scale on which it is naturally searched.

    Attributes:
        says: the law in words, as error messages print it.
        low, high: the ends of the legal interval; ``open_low`` and ``open_high`` exclude them.
        scale: ``log``, ``one_minus_log`` (search 1 - x log-uniformly), ``linear``, ``int`` or ``choice``.
        choices: the legal names where the value is a word.
    """

    says: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    scale: str = "linear"
    choices: tuple[str, ...] = ()

    def admits(self, value: float) -> bool:
        """Whether ``value`` lies in the interval."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return math.isfinite(value) and above and below


Positive = Annotated[float, Domain("a number > 0", low=0.0, open_low=True, scale="log")]
NonNegative = Annotated[float, Domain("a number >= 0", low=0.0, scale="log")]
Decay = Annotated[float, Domain("a number in [0, 1)", low=0.0, high=1.0, open_high=True, scale="one_minus_log")]
Fraction = Annotated[float, Domain("a number in [0, 1]", low=0.0, high=1.0)]
Count = Annotated[int, Domain("a whole number >= 1", low=1, scale="int")]


def choice(*names: str) -> Domain:
    """The domain of a hyperparameter that is one of ``names``; for use inside ``Annotated[str, ...]``."""
    return Domain("one of " + ", ".join(names), scale="choice", choices=names)


@dataclass(frozen=True)
class Hyperparameter:
    """One entry of a schema.

    Attributes:
        required: it has no published default. many: it is a list of such values. optional: a bound that may be None,
            which is none.
    """

    name: str
    kind: type
    domain: Domain
    default: Value
    required: bool = False
    many: bool = False
    optional: bool = False

    def problem(self, value: object) -> str | None:
        """What law ``value`` breaks here, or None where it is legal."""
        if value is None and self.optional:
            return None
        if self.many:
            if not isinstance(value, (list, tuple)) or not value:
                return f"expected a non-empty list, each {self.domain.says}, got {value!r}"
            return next((p for p in map(self._problem_of_one, value) if p), None)
        return self._problem_of_one(value)

    def _problem_of_one(self, value: object) -> str | None:
        if isinstance(value, bool) and self.kind is not bool:
            return f"expected {self.domain.says}, got a boolean ({value}); quote it if a word is meant"
        if self.kind is bool:
            return None if isinstance(value, bool) else f"expected true or false, got {value!r}"
        if self.kind is str:
            if isinstance(value, str) and (not self.domain.choices or value in self.domain.choices):
                return None
            return f"expected {self.domain.says}, got {value!r}"
        if not isinstance(value, (int, float)) or (self.kind is int and not float(value).is_integer()):
            return f"expected {self.domain.says}, got {value!r}"
        return None if self.domain.admits(float(value)) else f"expected {self.domain.says}, got {value}"


Schema = Mapping[str, Hyperparameter]


def schema(function: Callable[..., Any]) -> Schema:
    """The keyword-only arguments of ``function`` (a class: of its ``__init__``) as a schema, in order.

    Raises:
        TypeError: an argument lacks its domain annotation.
    """
    target = function.__init__ if inspect.isclass(function) else function
    hints = get_type_hints(target, include_extras=True)
    entries: dict[str, Hyperparameter] = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        entries[name] = _entry(name, hints[name], parameter.default)
    return entries


def number(value: Value) -> float:
    """A hyperparameter as a number; a bound that is None as infinity."""
    if value is None:
        return math.inf
    assert isinstance(value, (bool, int, float)), f"{value!r} is no number"
    return float(value)


def _entry(name: str, hint: Any, default: Any) -> Hyperparameter:
    optional = type(None) in get_args(hint)
    if optional:
        hint = get_args(hint)[0]
    many = get_origin(hint) is tuple
    if many:
        hint = get_args(hint)[0]
    if hint is bool:
        kind, domain = bool, Domain("true or false", scale="choice")
    else:
        annotation = get_args(hint)
        if len(annotation) < 2 or not isinstance(annotation[1], Domain):
            raise TypeError(f"{name}: annotate it with a domain, such as Positive or Decay")
        kind, domain = annotation[0], annotation[1]
    required = default is inspect.Parameter.empty
    return Hyperparameter(name, kind, domain, None if required else default, required, many, optional)
