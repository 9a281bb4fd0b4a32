"""Optimizer x remedy: which studies are such factorials, and their effects and interactions by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.made_up import Builder, arm, study
from vaestudy.analysis.compare import compare
from vaestudy.analysis.factorial import Factorial, factorial, remedy
from vaestudy.analysis.frames import load
from vaestudy.spec import Study

ANNEALING = {"train.beta.schedule": "linear"}
FREE_BITS = {"train.free_bits.nats": 0.1}
TWO_STAGE = {"train.stages.warm.share": 0.2}
PLAIN_TRAINING = {
    "epochs": 5,
    "beta": {"schedule": "constant", "over": 0.25},
    "stages": [{"name": "warm", "share": 0.0, "beta": 0.0}, {"name": "rest"}],
}
CROSSED = {
    "sgd": arm("sgd"),
    "sgd-annealing": arm("sgd", ANNEALING),
    "adam": arm("adam"),
    "adam-annealing": arm("adam", ANNEALING),
}


def crossing(methods: dict[str, dict[str, object]], train: dict[str, object] | None = None, **more: object) -> Study:
    return study(methods, train=train or PLAIN_TRAINING, **more)


def found_in(builder: Builder) -> Factorial | None:
    records = load(builder.folder)
    return factorial(records, compare(records))


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Factorial:
    """Four seeds; annealing helps sgd by 1.25 nats and adam by 0.5; one of sgd's annealed seeds collapsed."""
    builder = Builder(tmp_path_factory.mktemp("crossed"), crossing(CROSSED, seeds=4))
    for method, nlls in {
        "sgd": [30.0, 31.0, 32.0, 33.0],
        "sgd-annealing": [29.0, 29.5, 31.0, 49.9],
        "adam": [28.0, 28.0, 28.0, 28.0],
        "adam-annealing": [27.5, 27.25, 27.75, 27.5],
    }.items():
        builder.search(method, [28.0])
        builder.confirm(method, 0, nlls)
    found = found_in(builder)
    assert found is not None
    return found


def test_a_factorial_has_a_cell_for_every_optimizer_and_remedy(crossed: Factorial) -> None:
    assert (crossed.optimizers, crossed.remedies) == (["sgd", "adam"], ["none", "annealing"])
    assert {key: row.method for key, row in crossed.cells.items()} == {
        ("w", "sgd", "none"): "sgd",
        ("w", "sgd", "annealing"): "sgd-annealing",
        ("w", "adam", "none"): "adam",
        ("w", "adam", "annealing"): "adam-annealing",
    }


def test_the_effect_of_a_remedy_is_paired_by_the_seeds_that_failed_nowhere(crossed: Factorial) -> None:
    """sgd: -1, -1.5, -1 with t(0.975, 1.4) = 6.657; adam: -0.5, -0.75, -0.25, -0.5 with t(0.975, 1.8) = 4.795."""
    sgd, adam = crossed.effects
    assert (sgd.optimizer, sgd.remedy, sgd.difference.n) == ("sgd", "annealing", 3)
    assert sgd.difference.estimate == pytest.approx(-3.5 / 3)
    assert sgd.difference.half_width == pytest.approx(6.6570 * math.sqrt(1 / 12) / math.sqrt(3), rel=1e-4)
    assert (adam.optimizer, adam.difference.n, adam.difference.estimate) == ("adam", 4, -0.5)
    assert adam.difference.half_width == pytest.approx(4.7949 * math.sqrt(0.125 / 3) / 2, rel=1e-4)


def test_an_interaction_is_the_difference_of_two_effects_seed_by_seed(crossed: Factorial) -> None:
    """adam less sgd: 0.5, 0.75, 0.75."""
    (found,) = crossed.interactions
    assert (found.remedy, found.optimizer, found.other, found.difference.n) == ("annealing", "adam", "sgd", 3)
    assert found.difference.estimate == pytest.approx(2 / 3)
    assert found.difference.half_width == pytest.approx(6.6570 * math.sqrt(1 / 48) / math.sqrt(3), rel=1e-4)


def test_every_workload_has_effects_of_its_own(tmp_path: Path) -> None:
    found = found_in(Builder(tmp_path, crossing(CROSSED, workloads=("u", "v"))))
    assert found is not None
    assert [effect.workload for effect in found.effects] == ["u", "u", "v", "v"]
    assert [one.workload for one in found.interactions] == ["u", "v"]


# --- which remedy a method fixes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fixed", "expected"),
    [
        ({}, "none"),
        (ANNEALING, "annealing"),
        ({**ANNEALING, "train.beta.over": 0.0}, "none"),
        (FREE_BITS, "free bits"),
        (TWO_STAGE, "two-stage"),
        ({"train.stages.warm.share": 1.0}, "none"),  # one stage alone
        ({**ANNEALING, **TWO_STAGE}, "annealing + two-stage"),
    ],
)
def test_a_remedy_is_read_from_what_a_method_fixes(tmp_path: Path, fixed: dict[str, object], expected: str) -> None:
    records = load(Builder(tmp_path, crossing({"adam": arm(fixed=fixed)})).folder)
    assert remedy(records, "adam") == expected


def test_a_remedy_of_all_methods_can_be_switched_off_by_one(tmp_path: Path) -> None:
    methods = {"on": arm(), "off": arm(fixed={"train.beta.schedule": "constant"})}
    records = load(Builder(tmp_path, crossing(methods, {"epochs": 5, "beta": {"schedule": "linear"}})).folder)
    assert [remedy(records, method) for method in methods] == ["annealing", "none"]


# --- what is no factorial ---------------------------------------------------------------------------------------------

SEARCHED = {"train.beta.over": {"choice": [0.0, 0.25]}}
NO_FACTORIAL = {
    "a method searches its remedy": (CROSSED | {"adam": arm(**SEARCHED)}, {}),
    "all methods search a remedy": (CROSSED, {"shared_search": SEARCHED}),
    "an optimizer lacks a remedy": ({name: CROSSED[name] for name in ("sgd", "sgd-annealing", "adam")}, {}),
    "two methods are one cell": (CROSSED | {"again": arm("adam", ANNEALING)}, {}),
    "one optimizer": ({name: CROSSED[name] for name in ("adam", "adam-annealing")}, {}),
    "one remedy": ({name: CROSSED[name] for name in ("sgd", "adam")}, {}),
    "nobody is without a remedy": (
        {
            "sgd-annealing": CROSSED["sgd-annealing"],
            "sgd-free-bits": arm("sgd", FREE_BITS),
            "adam-annealing": CROSSED["adam-annealing"],
            "adam-free-bits": arm("adam", FREE_BITS),
        },
        {},
    ),
}


@pytest.mark.parametrize("case", NO_FACTORIAL)
def test_a_design_that_confounds_optimizer_and_remedy_is_no_factorial(tmp_path: Path, case: str) -> None:
    methods, more = NO_FACTORIAL[case]
    assert found_in(Builder(tmp_path, crossing(methods, **more))) is None


@pytest.mark.parametrize("changed", ["fixed", "searched"])
def test_a_factorial_may_tune_what_is_no_remedy(tmp_path: Path, changed: str) -> None:
    own = arm(fixed={"beta2": 0.99}) if changed == "fixed" else arm(beta1={"uniform": [0.5, 0.99]})
    assert found_in(Builder(tmp_path, crossing(CROSSED | {"adam": own}))) is not None
