"""The signature is the schema, and every illegal value is told its law."""

from __future__ import annotations

import re
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaestudy.hyperparameters import Count, Decay, NonNegative, Positive, choice, number, schema


def example(
    *,
    lr: Positive = 0.1,
    beta: Decay = 0.9,
    decay: NonNegative = 0.0,
    sizes: tuple[Count, ...] = (4,),
    kind: Annotated[str, choice("a", "b")] = "a",
    flag: bool = False,
    radius: Positive | None = None,
    ess: Positive,
) -> None:
    """An example."""


def test_the_signature_is_the_schema() -> None:
    found = schema(example)
    assert list(found) == ["lr", "beta", "decay", "sizes", "kind", "flag", "radius", "ess"]
    assert found["ess"].required
    assert found["sizes"].many
    assert found["beta"].domain.scale == "one_minus_log"


@pytest.mark.parametrize(
    ("name", "value", "law"),
    [
        ("lr", 0, "a number > 0, got 0"),
        ("lr", -1.0, "a number > 0"),
        ("lr", float("nan"), "a number > 0"),
        ("lr", float("inf"), "a number > 0"),
        ("lr", "fast", "got 'fast'"),
        ("lr", True, "got a boolean"),
        ("beta", 1.0, r"\[0, 1\)"),
        ("sizes", [], "non-empty list"),
        ("sizes", [4, 0], "whole number >= 1"),
        ("sizes", [2.5], "whole number"),
        ("kind", "c", "one of a, b"),
        ("flag", 1, "true or false"),
        ("radius", 0, "a number > 0, got 0"),
        ("ess", None, "a number > 0, got None"),
    ],
)
def test_an_illegal_value_is_told_the_law_it_breaks(name: str, value: object, law: str) -> None:
    problem = schema(example)[name].problem(value)
    assert problem is not None
    assert re.search(law, problem), problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 1),
        ("lr", 1e-9),
        ("beta", 0),
        ("decay", 0.0),
        ("sizes", (4, 2)),
        ("flag", True),
        ("kind", "b"),
        ("radius", None),
        ("radius", 2),
    ],
)
def test_a_legal_value_has_no_problem(name: str, value: object) -> None:
    assert schema(example)[name].problem(value) is None


@pytest.mark.parametrize(("value", "expected"), [(None, float("inf")), (True, 1.0), (3, 3.0), (0.5, 0.5)])
def test_a_bound_that_is_absent_is_infinite(value: float | None, expected: float) -> None:
    assert number(value) == expected


def test_a_hyperparameter_without_a_domain_is_a_mistake_of_its_author() -> None:
    def careless(*, lr: float = 1.0) -> None: ...

    with pytest.raises(TypeError, match="lr: annotate it with a domain"):
        schema(careless)


@given(value=st.floats(allow_nan=True, allow_infinity=True))
def test_a_number_is_legal_exactly_within_its_law(value: float) -> None:
    found = schema(example)
    assert (found["lr"].problem(value) is None) == (0 < value < float("inf"))
    assert (found["decay"].problem(value) is None) == (0 <= value < float("inf"))
    assert (found["beta"].problem(value) is None) == (0 <= value < 1)
