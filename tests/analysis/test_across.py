from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.made_up import Builder, study
from vaestudy import spec
from vaestudy.analysis import definitions
from vaestudy.analysis.across import HEADER, Across, across, welch_difference
from vaestudy.analysis.frames import Records
from vaestudy.analysis.stored import open_records
from vaestudy.spec.legal import EQUAL_FOR_ALL
from vaestudy.spec.models import INDEPENDENT


def made(folder: Path, shift: float = 0.0, **more: object) -> Records:
    """A finished study of sgd and adam at about 30 + shift nats, four seeds each."""
    seed = int(str(more.get("seed", 0)))
    methods = tuple(more.pop("names", ("sgd", "adam")))  # type: ignore[call-overload]
    builder = Builder(folder, study(methods, **more))
    for index, method in enumerate(methods):
        for workload in builder.study.workloads:
            builder.search(method, [30.0 + shift], workload=workload)
            noise = np.random.default_rng([seed, index]).normal(size=4)
            builder.confirm(method, 0, [float(30.0 + shift + x) for x in noise], workload=workload)
    return open_records(builder.folder)


def found(tmp_path: Path, **more: object) -> Across:
    """A study beside one that differs in ``more``."""
    return across({"a": made(tmp_path / "a"), "b": made(tmp_path / "b", **more)})


def keys(result: Across) -> set[tuple[str, str]]:
    return {(obstacle.what, obstacle.key) for obstacle in result.obstacles}


def test_equal_cells_are_one_line_a_study_with_no_obstacles(tmp_path: Path) -> None:
    result = found(tmp_path, shift=1.0)
    assert sorted((line.method, line.study) for line in result.lines) == [
        ("adam", "a"),
        ("adam", "b"),
        ("sgd", "a"),
        ("sgd", "b"),
    ]
    assert result.obstacles == ()


def test_under_one_study_seed_the_difference_is_paired(tmp_path: Path) -> None:
    result = found(tmp_path, shift=1.0)
    (line,) = [line for line in result.lines if (line.method, line.study) == ("sgd", "b")]
    assert line.test == "paired by seed"
    assert line.difference is not None
    assert (line.difference.low, line.difference.high) == (pytest.approx(1.0), pytest.approx(1.0))
    assert any("common random numbers: differences are paired by seed" in note for note in result.notes)


def test_under_different_study_seeds_the_difference_has_welchs_interval(tmp_path: Path) -> None:
    result = found(tmp_path, shift=1.0, seed=5)
    first, second = (line for line in result.lines if line.method == "adam")
    assert second.test == "Welch"
    assert second.difference is not None
    assert second.difference.half_width > 0.1
    assert second.difference.estimate == pytest.approx(second.score.estimate - first.score.estimate)
    assert any("different study seeds (0 -> 5)" in note for note in result.notes)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"train": {"epochs": 6}}, ("workload w", "train.epochs")),
        ({"train": {"epochs": 5, "evaluate_every": 5}}, ("workload w", "train.evaluate_every")),
        ({"train": {"epochs": 5, "warmup": 0.1}}, ("method adam", "train.warmup")),
        ({"shared_search": {"train.warmup": {"uniform": [0.0, 0.5]}}}, ("method sgd", "shared_search.train.warmup")),
        ({"confirm": {"seeds": 4, "iwae_samples": 20}}, ("every cell", "iwae_samples")),
        ({"search": {"trials": 3, "sampler": {"name": "tpe"}}}, ("every cell", "sampler")),
        ({"search": {"trials": 3, "pruner": {"name": "median"}}}, ("every cell", "pruner.name")),
    ],
)
def test_what_differs_is_named_and_nothing_is_compared(
    tmp_path: Path, change: dict[str, object], expected: tuple[str, str]
) -> None:
    result = found(tmp_path, **change)
    assert expected in keys(result)
    assert result.lines == ()


@pytest.mark.parametrize(
    ("key", "value"), [("validation", 200), ("seed", 3), ("limit", 900), ("binarize", "dynamic"), ("name", "mnist")]
)
def test_other_data_under_the_same_name_are_not_compared(tmp_path: Path, key: str, value: object) -> None:
    one = made(tmp_path / "a")
    facts = json.loads(json.dumps(one.facts))
    facts["study"]["workloads"]["w"]["data"][key] = value
    result = across({"a": one, "b": Records(facts, one.runs, one.metrics, one.pictures)})
    assert keys(result) == {("workload w", f"data.{key}")}
    assert result.lines == ()


def test_an_obstacle_states_old_and_new_value_and_what_that_means(tmp_path: Path) -> None:
    (obstacle,) = found(tmp_path, train={"epochs": 6}).obstacles
    assert str(obstacle) == (
        "a / b, workload w: train.epochs: 5 -> 6; another cap: longer training reaches lower losses"
    )


def test_another_space_of_one_method_leaves_the_other_comparable(tmp_path: Path) -> None:
    one, other = made(tmp_path / "a"), made(tmp_path / "b")
    other.study["methods"]["adam"]["search"]["lr"]["log"] = [1e-5, 0.1]
    result = across({"a": one, "b": other})
    assert {line.method for line in result.lines} == {"sgd"}
    (obstacle,) = result.obstacles
    assert (obstacle.key, obstacle.old, obstacle.new) == (
        "search.lr",
        "log-uniform [0.0001, 1]",
        "log-uniform [1e-05, 0.1]",
    )


def test_unequal_tuning_budgets_are_compared_where_they_meet(tmp_path: Path) -> None:
    budgets = {"seeds": 4, "iwae_samples": 10, "budgets": [1, 3]}
    result = found(tmp_path, confirm=budgets)
    assert {line.budget for line in result.lines} == {3}
    (obstacle,) = result.obstacles
    assert (obstacle.old, obstacle.new) == ("[3]", "[1, 3]")


def test_a_method_of_one_study_alone_is_said_to_be(tmp_path: Path) -> None:
    one, other = made(tmp_path / "a"), made(tmp_path / "b", names=("adam",))
    assert [str(obstacle) for obstacle in across({"a": one, "b": other}).obstacles] == [
        "a / b, method sgd: only a has it"
    ]


def test_a_cell_is_found_under_another_name(tmp_path: Path) -> None:
    result = found(tmp_path, names=("sgd", "kingma"))
    assert [line.method for line in result.lines].count("adam") == 2
    assert "a / b: w/adam and w/kingma are the same cell under two names" in result.notes


def test_methods_under_changed_names_are_set_against_each_other(tmp_path: Path) -> None:
    one, other = made(tmp_path / "a"), made(tmp_path / "b", names=("sgd", "kingma"))
    other.study["methods"]["kingma"]["fixed"] = {"beta2": 0.9}
    (obstacle,) = across({"a": one, "b": other}).obstacles
    assert (obstacle.what, obstacle.key, obstacle.old) == ("method adam / kingma", "fixed.beta2", "not set")


def test_random_and_sobol_are_one_stage(tmp_path: Path) -> None:
    result = found(tmp_path, search={"trials": 3, "sampler": {"name": "sobol"}})
    assert len(result.lines) == 4
    assert any("samplers random -> sobol, both of stage T" in note for note in result.notes)


def test_three_studies_are_compared_with_the_first_that_has_the_cell(tmp_path: Path) -> None:
    apart = {"train": {"epochs": 6}}
    studies = {"a": made(tmp_path / "a", **apart), "b": made(tmp_path / "b"), "c": made(tmp_path / "c", shift=1.0)}
    result = across(studies)
    assert {line.study for line in result.lines} == {"b", "c"}
    assert all((line.difference is None) == (line.study == "b") for line in result.lines)
    assert {(obstacle.first, obstacle.second) for obstacle in result.obstacles} == {("a", "b"), ("a", "c")}


def test_equal_workloads_of_one_study_are_not_mixed(tmp_path: Path) -> None:
    result = found(tmp_path, shift=1.0, workloads=("w", "again"))
    assert {line.workload for line in result.lines} == {"w"}
    assert len(result.lines) == 4


def test_a_study_beside_a_copy_of_itself_is_told_so(tmp_path: Path) -> None:
    one = made(tmp_path / "a")
    assert "a / b: the same study by its hash" in across({"a": one, "b": one}).notes[0]


def test_other_code_and_hardware_are_noted(tmp_path: Path) -> None:
    one = made(tmp_path / "a")
    records = [
        Records(
            {**one.facts, "environment": {"code": code, "hardware": {"cores": 2}}}, one.runs, one.metrics, one.pictures
        )
        for code in ("c1", "c2")
    ]
    notes = across(dict(zip("ab", records, strict=True))).notes
    assert any(note.endswith("seconds are not compared: code: c1 -> c2") for note in notes)


def test_unrecorded_code_and_hardware_are_noted_once(tmp_path: Path) -> None:
    records = [made(tmp_path / name) for name in "abc"]
    bare = Records({**records[0].facts, "environment": {}}, records[0].runs, records[0].metrics, records[0].pictures)
    notes = across({"a": bare, "b": records[1], "c": records[2]}).notes
    assert notes.count("a: code and hardware were not recorded") == 1


def test_seeds_in_two_groups_are_noted(tmp_path: Path) -> None:
    builder = Builder(tmp_path / "b", study())
    builder.search("sgd", [30.0])
    builder.confirm("sgd", 0, [30.0, 30.1, 52.0, 52.1])
    notes = across({"a": made(tmp_path / "a"), "b": open_records(builder.folder)}).notes
    assert "b: w/sgd's seeds fall into two groups; read its failure rates, not its mean" in notes


def test_failed_seeds_are_counted_and_in_no_mean(tmp_path: Path) -> None:
    one = made(tmp_path / "a")
    builder = Builder(tmp_path / "b", study())
    for method in ("sgd", "adam"):
        builder.search(method, [30.0])
        builder.confirm(method, 0, [30.0, 30.1, 52.0, None])
    lines = across({"a": one, "b": open_records(builder.folder)}).lines
    cells = dict(zip(HEADER, next(line for line in lines if line.study == "b").cells(), strict=True))
    assert cells["sound seeds"] == "2/4"
    assert cells["collapsed [95 %]"].startswith("25 %")
    assert cells["score ↓ [nats]"].startswith("30.05")


def test_a_study_without_confirmed_runs_has_a_line_without_numbers(tmp_path: Path) -> None:
    empty = open_records(Builder(tmp_path / "b", study()).folder)
    lines = across({"a": made(tmp_path / "a"), "b": empty}).lines
    assert [line.cells()[4] for line in lines if line.study == "b"] == ["–", "–"]


# --- statistics and digests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(2, 2), (4, 9), (20, 3)])
def test_welchs_interval_is_scipys(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(sizes))
    ours, theirs = rng.normal(30, 1, sizes[0]), rng.normal(29, 3, sizes[1])
    expected = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    mine = welch_difference(list(ours), list(theirs))
    assert (mine.low, mine.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert mine.n == sum(sizes)


def test_a_difference_of_constants_is_exact() -> None:
    assert welch_difference([3.0, 3.0], [1.0, 1.0]).half_width == 0.0


def test_a_difference_of_single_values_has_no_interval() -> None:
    mine = welch_difference([3.0], [1.0, 1.5])
    assert mine.estimate == 1.75 and math.isnan(mine.low)
    assert math.isnan(welch_difference([], [1.0]).estimate)


def test_the_digest_depends_on_values_not_on_their_order_or_form() -> None:
    one, other = ({"a": 1, "b": {"c": [0.0, 2]}}, {"b": {"c": [0, 2.0], "d": None}, "a": 1.0})
    digests = {definitions.Definition(dict(definitions.leaves(tree))).digest for tree in (one, other)}
    assert len(digests) == 1
    assert definitions.Definition({"a": True}).digest != definitions.Definition({"a": 1}).digest


def test_every_key_of_a_study_has_a_meaning_where_it_differs() -> None:
    resolved = study(shared_search={"train.warmup": {"uniform": [0.0, 0.5]}}).model_dump(mode="json", by_alias=True)
    parts = definitions.workload(resolved, "w"), definitions.method(resolved, "sgd"), definitions.conditions(resolved)
    assert all(definitions.why(key) for part in parts for key in part.values)


def test_the_samplers_of_stage_t_are_the_study_files() -> None:
    assert definitions.INDEPENDENT == INDEPENDENT


def test_a_workload_takes_the_training_keys_that_no_method_may_set() -> None:
    assert set(definitions.CAP_AND_EVALUATION) == EQUAL_FOR_ALL


def test_every_range_of_a_study_file_has_words() -> None:
    ranges = [{"log": [1e-5, 1.0]}, {"uniform": [0, 1]}, {"int": [1, 3]}, {"choice": ["a", True], "when": {"x": 1}}]
    texts = [
        definitions.range_text(spec.Range.model_validate(r, strict=False).model_dump(by_alias=True)) for r in ranges
    ]
    assert texts == [
        "log-uniform [1e-05, 1]",
        "uniform [0, 1]",
        "whole numbers [1, 3]",
        "one of [a, True] where x = 1",
    ]
