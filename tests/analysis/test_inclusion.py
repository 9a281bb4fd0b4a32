"""Which declared spaces include which, by the registry's word on their optimizers and by their ranges."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.made_up import Builder, arm, study
from vaestudy.analysis.frames import load
from vaestudy.analysis.inclusion import inclusions

RATE = {"log": [1e-4, 1.0]}
TO_0 = {"log": [0.01, 1.0]}
"""Of 1 - x: decays from 0 to 0.99."""
SGD = arm("sgd")
MOMENTUM = arm("momentum", lr=RATE, one_minus_momentum=TO_0)
ADAM = arm("adam", lr=RATE, one_minus_beta1=TO_0, eps={"log": [1e-8, 1.0]})


def missing(tmp_path: Path, whole: dict[str, object], part: dict[str, object], **more: object) -> list[str] | None:
    """What keeps a space from including another; None where its optimizer does not contain the other's."""
    records = load(Builder(tmp_path, study({"whole": whole, "part": part}, **more)).folder)
    found = {(one, other): names for one, other, names in inclusions(records)}
    return found.get(("whole", "part"))


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        (MOMENTUM, SGD),
        (arm("momentum", {"momentum": 0.0}), SGD),
        (arm("momentum", lr=RATE, momentum={"choice": [0.0, 0.9]}), SGD),
        (ADAM, SGD),
        (ADAM, MOMENTUM),
        (ADAM, arm("momentum")),  # by default momentum is 0.9
        (arm("rmsprop", lr=RATE, eps={"log": [1e-8, 1.0]}), SGD),
        (arm("rmsprop", lr=RATE, eps={"log": [1e-8, 1.0]}, one_minus_momentum=TO_0), MOMENTUM),
        (arm("torch.SGD", {"momentum": 0.9, "nesterov": True}), arm("nesterov")),
        (arm("torch.Adam"), arm("adam")),
        (arm("adamw", {"weight_decay": 0.0}), arm("adam")),
    ],
)
def test_a_space_that_goes_where_the_other_is_includes_it(
    tmp_path: Path, whole: dict[str, object], part: dict[str, object]
) -> None:
    assert missing(tmp_path, whole, part) == []


@pytest.mark.parametrize(
    ("whole", "part", "why"),
    [
        (arm("momentum"), SGD, ["momentum"]),  # fixed at its default
        (arm("momentum", lr=RATE, one_minus_momentum={"log": [0.01, 0.5]}), SGD, ["momentum"]),
        (arm("momentum", lr={"log": [1e-3, 1.0]}, one_minus_momentum=TO_0), SGD, ["lr"]),
        (arm("momentum", lr={"choice": [1e-4, 1.0]}, one_minus_momentum=TO_0), SGD, ["lr"]),
        (arm("adam", lr=RATE, one_minus_beta1=TO_0), SGD, ["eps"]),
        (arm("adam", lr=RATE, one_minus_beta1={"log": [0.05, 1.0]}, eps={"log": [1e-8, 1.0]}), MOMENTUM, ["beta1"]),
        (arm("rmsprop", lr=RATE, eps={"log": [1e-8, 1.0]}), MOMENTUM, ["momentum"]),
        (MOMENTUM, arm("sgd", {"weight_decay": 0.1}), ["weight_decay"]),
        (arm("torch.SGD", {"momentum": 0.9}), arm("nesterov"), ["nesterov"]),
        (arm("torch.SGD", {"momentum": 0.9, "nesterov": True}), arm("momentum"), ["nesterov"]),
        (arm("adamw"), arm("adam"), ["weight_decay"]),
        (arm("adamw", {"weight_decay": 0.1}), arm("adam", {"weight_decay": 0.1}), ["weight_decay"]),
    ],
)
def test_what_a_space_leaves_out_is_named(
    tmp_path: Path, whole: dict[str, object], part: dict[str, object], why: list[str]
) -> None:
    assert missing(tmp_path, whole, part) == why


def test_what_is_searched_only_under_a_condition_is_not_there_for_every_trial(tmp_path: Path) -> None:
    conditional = {**TO_0, "when": {"train.warmup": 0.1}}
    whole = arm("momentum", lr=RATE, one_minus_momentum=conditional, **{"train.warmup": {"choice": [0.0, 0.1]}})
    assert missing(tmp_path, whole, SGD) == ["momentum"]


def test_rates_that_are_searched_for_all_alike_are_each_methods_own(tmp_path: Path) -> None:
    shared = {"lr": {"log": [1e-5, 1.0]}}
    whole = {"optimizer": "momentum", "search": {"one_minus_momentum": TO_0}}
    assert missing(tmp_path, whole, {"optimizer": "sgd"}, shared_search=shared) == []


@pytest.mark.parametrize(("whole", "part"), [(SGD, MOMENTUM), (arm("adam"), arm("rmsprop")), (arm(), arm())])
def test_optimizers_of_which_none_contains_the_other_are_no_pair(
    tmp_path: Path, whole: dict[str, object], part: dict[str, object]
) -> None:
    assert missing(tmp_path, whole, part) is None
