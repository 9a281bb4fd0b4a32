"""Where in its declared space a trial lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.made_up import Builder, arm, study
from vaestudy.analysis.frames import load
from vaestudy.analysis.spaces import Declared, Dimension, declared, rate_range, space, unit_cube


def dimensions(tmp_path: Path, searched: dict[str, object], **more: object) -> list[Dimension]:
    records = load(Builder(tmp_path, study({"adam": arm(**searched)}, **more)).folder)
    return space(records, "adam")


def places(tmp_path: Path, searched: dict[str, object], **settings: object) -> list[float]:
    """Where the settings lie of the first key that is searched."""
    found = {dimension.key: dimension for dimension in dimensions(tmp_path, searched)}
    runs = pd.DataFrame({f"setting.{name}": values for name, values in settings.items()})
    return found[next(iter(searched))].unit(runs).tolist()


def test_a_log_range_is_measured_in_decades(tmp_path: Path) -> None:
    assert places(tmp_path, {"lr": {"log": [1e-4, 1.0]}}, lr=[1e-4, 1e-3, 1.0]) == pytest.approx([0.0, 0.25, 1.0])
    (dimension,) = dimensions(tmp_path / "again", {"lr": {"log": [1e-4, 1.0]}})
    assert dimension.decades == pytest.approx(4.0)


@pytest.mark.parametrize("kind", ["uniform", "int"])
def test_other_ranges_are_measured_as_they_are(tmp_path: Path, kind: str) -> None:
    assert places(tmp_path, {"warmup": {kind: [0, 4]}}, warmup=[0, 1, 4]) == [0.0, 0.25, 1.0]


def test_a_decay_is_measured_by_its_distance_to_1(tmp_path: Path) -> None:
    searched = {"one_minus_beta1": {"log": [0.001, 0.1]}}
    assert places(tmp_path, searched, beta1=[0.999, 0.99, 0.9]) == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("key", "column"),
    [
        ("train.beta.over", "setting.beta.over"),
        ("one_minus_beta2", "setting.beta2"),
        ("decoder.lr_ratio", "setting.decoder_lr_ratio"),
        ("train.decoder_lr_ratio", "setting.decoder_lr_ratio"),
        ("train.warmup", "setting.warmup"),
        ("warmup", "setting.warmup"),
    ],
)
def test_a_key_finds_its_column_in_the_runs(tmp_path: Path, key: str, column: str) -> None:
    assert [dimension.column for dimension in dimensions(tmp_path, {key: {"log": [0.01, 0.1]}})] == [column]


@pytest.mark.parametrize(
    ("choices", "stored"),
    [
        (["none", "linear", "cosine"], ["none", "linear", "cosine"]),
        ([1, 2, 5], [1.0, 2.0, 5.0]),  # a column with gaps has no whole numbers
        ([0, 0.1, 0.5], ["0", "0.1", "0.5"]),  # nor a column of mixed types any numbers
        ([False, "auto", True], ["False", "auto", "True"]),
    ],
)
def test_a_choice_lies_by_its_place_in_the_file(tmp_path: Path, choices: list[object], stored: list[object]) -> None:
    assert places(tmp_path, {"train.warmup": {"choice": choices}}, warmup=stored) == [0.0, 0.5, 1.0]


def test_true_is_not_the_choice_1(tmp_path: Path) -> None:
    assert places(tmp_path, {"amsgrad": {"choice": [1, True]}}, amsgrad=pd.Series([True], dtype=object)) == [1.0]


def test_a_stage_whose_share_was_drawn_as_0_lies_at_0(tmp_path: Path) -> None:
    searched = {"train.stages.warm.share": {"choice": [0.0, 0.2]}}
    assert places(tmp_path, searched, **{"stages.warm.share": [np.nan, 0.2]}) == [0.0, 1.0]


CONDITIONAL = {
    "train.beta.over": {"log": [0.1, 1.0], "when": {"train.beta.schedule": ["linear", "cosine"]}},
    "train.beta.schedule": {"choice": ["constant", "linear", "cosine"]},
}


def test_where_a_condition_does_not_hold_the_published_default_is_no_draw(tmp_path: Path) -> None:
    schedules = ["linear", "constant", "cosine"]
    found = places(tmp_path, CONDITIONAL, **{"beta.over": [0.1, 0.25, 1.0], "beta.schedule": schedules})
    assert found == pytest.approx([0.0, np.nan, 1.0], nan_ok=True)


def test_a_condition_on_what_was_not_drawn_does_not_hold(tmp_path: Path) -> None:
    chain = {
        "train.beta.cycles": {"int": [2, 6], "when": {"train.beta.over": 0.5}},
        "train.beta.over": {"choice": [0.25, 0.5], "when": {"train.beta.schedule": "cyclical"}},
        "train.beta.schedule": {"choice": ["constant", "cyclical"]},
    }
    drawn = {"beta.cycles": [4, 4], "beta.over": [0.5, 0.5], "beta.schedule": ["cyclical", "constant"]}
    assert places(tmp_path, chain, **drawn) == pytest.approx([0.5, np.nan], nan_ok=True)


def test_a_space_holds_what_is_searched_for_all_by_key(tmp_path: Path) -> None:
    shared = {"train.beta.over": {"uniform": [0.0, 0.5]}}
    found = dimensions(tmp_path, {"lr": {"log": [0.1, 1.0]}, "beta1": {"uniform": [0, 1]}}, shared_search=shared)
    assert [dimension.key for dimension in found] == ["beta1", "lr", "train.beta.over"]


def test_trials_are_points_of_the_unit_cube(small: Builder) -> None:
    small.search("adam", [28.0, 29.0])
    records = load(small.folder)
    assert unit_cube(records, "adam", records.runs) == pytest.approx(np.array([[0.75], [(np.log10(0.05) + 4) / 4]]))


def test_a_method_that_searches_nothing_has_a_space_without_dimensions(tmp_path: Path) -> None:
    made = study({"adam": {"optimizer": "adam"}})
    builder = Builder(tmp_path, made)
    builder.search("adam", [28.0, 29.0])
    records = load(builder.folder)
    assert unit_cube(records, "adam", records.runs).shape == (2, 0)


def test_a_method_without_a_trial_is_an_empty_cube(tmp_path: Path) -> None:
    records = load(Builder(tmp_path, study({"adam": arm(**CONDITIONAL)})).folder)
    assert unit_cube(records, "adam", records.runs).shape == (0, 2)


# --- what is declared -------------------------------------------------------------------------------------------------


def declaring(tmp_path: Path, name: str, **arms: object) -> Declared | None:
    return declared(load(Builder(tmp_path, study({"m": arm(**arms)})).folder), "m", name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arms", "expected"),
    [
        ({}, Declared(some=(0.9,))),  # the published default
        ({"fixed": {"beta1": 0.5}}, Declared(some=(0.5,))),
        ({"fixed": {"one_minus_beta1": 0.25}}, Declared(some=(0.75,))),
        ({"beta1": {"uniform": [0.0, 0.5]}}, Declared(0.0, 0.5)),
        ({"one_minus_beta1": {"log": [0.25, 1.0]}}, Declared(0.0, 0.75)),
        ({"beta1": {"choice": [0.0, 0.9]}}, Declared(some=(0.0, 0.9))),
        ({"one_minus_beta1": {"choice": [1.0, 0.5]}}, Declared(some=(0.0, 0.5))),
        (
            {"beta1": {"uniform": [0.0, 0.5], "when": {"train.warmup": 0.1}}, "train.warmup": {"choice": [0, 0.1]}},
            Declared(0.0, 0.5, always=False),
        ),
    ],
)
def test_a_hyperparameter_has_its_range_or_its_fixed_value_or_the_published_default(
    tmp_path: Path, arms: dict[str, object], expected: Declared
) -> None:
    assert declaring(tmp_path, "beta1", **arms) == expected


def test_a_range_of_whole_numbers_is_these_numbers(tmp_path: Path) -> None:
    assert declaring(tmp_path, "mc_samples", optimizer="ivon", mc_samples={"int": [1, 3]}) == Declared(some=(1, 2, 3))


def test_an_optimizer_without_a_hyperparameter_declares_nothing_of_it(tmp_path: Path) -> None:
    assert declaring(tmp_path, "momentum") is None


@pytest.mark.parametrize(
    ("whole", "part", "includes"),
    [
        (Declared(0.0, 1.0), Declared(0.0, 1.0), True),
        (Declared(0.0, 1.0), Declared(0.1, 1.1), False),
        (Declared(0.1, 1.0), Declared(0.0, 1.0), False),
        (Declared(0.0, 1.0), Declared(some=(0.0, 1.0)), True),
        (Declared(0.0, 1.0), Declared(some=(0.5, 1.5)), False),
        (Declared(some=(0.0, 1.0)), Declared(0.0, 1.0), False),
        (Declared(some=(0.0, 1.0)), Declared(some=(1.0,)), True),
        (Declared(some=(1.0,)), Declared(some=(0.0, 1.0)), False),
        (Declared(0.0, 1.0, always=False), Declared(0.2, 0.4), False),
        (Declared(some=(1.0,), always=False), Declared(some=(1.0,)), False),
    ],
)
def test_values_include_others_where_they_have_all_of_them(whole: Declared, part: Declared, includes: bool) -> None:
    assert whole.includes(part) == includes


@pytest.mark.parametrize(
    ("optimizer", "fixed", "searched", "expected"),
    [
        ("adam", {}, {}, (1e-4, 1.0)),
        ("sgd", {}, {}, (1e-4, 1.0)),
        ("momentum", {}, {}, (1e-3, 10.0)),  # by default momentum is 0.9
        ("momentum", {"momentum": 0.5}, {}, (2e-4, 2.0)),
        ("momentum", {}, {"one_minus_momentum": {"log": [0.1, 1.0]}}, None),
        ("adam", {}, {"lr": {"uniform": [0.0, 1.0]}}, None),
        ("adam", {"lr": 0.1}, {"beta1": {"choice": [0.5, 0.9]}, "lr": None}, None),
    ],
)
def test_a_rate_is_measured_with_what_momentum_makes_of_it(
    tmp_path: Path,
    optimizer: str,
    fixed: dict[str, object],
    searched: dict[str, object],
    expected: tuple[float, float] | None,
) -> None:
    ranges = {"lr": {"log": [1e-4, 1.0]}, **searched}
    made = arm(optimizer, fixed, **{key: value for key, value in ranges.items() if value})
    found = rate_range(load(Builder(tmp_path, study({"m": made})).folder), "m")
    assert found == (expected if expected is None else pytest.approx(expected))
