"""From ranges and draws to settings; rungs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.files import GOOD, load, varied
from vaestudy.spec import applies, canonical, cells, first_rung, resolve, space

DRAWN = {
    "lr": 1e-3,
    "one_minus_beta1": 0.25,
    "schedule": "cosine",
    "final_lr_ratio": 0.1,
    "decoder.lr_ratio": 2.0,
    "train.beta.over": 0.5,
    "train.stages.warm.share": 0.2,
    "train.beta.cycles": 2,
}


def test_cells_are_workloads_times_methods_in_the_files_order(tmp_path: Path) -> None:
    assert [cell.key for cell in cells(load(tmp_path))] == [
        "digits-mlp/adam",
        "digits-mlp/ivon",
        "grey/adam",
        "grey/ivon",
    ]


def test_draws_lie_over_fixed_values_and_these_over_published_defaults(tmp_path: Path) -> None:
    settings = resolve(load(tmp_path), "adam", DRAWN, train_size=1000)
    assert settings.hyperparameters == {"lr": 1e-3, "beta1": 0.75, "beta2": 0.999, "eps": 1e-6, "weight_decay": 0.0}
    assert (settings.train.schedule, settings.train.warmup, settings.train.clip_norm) == ("cosine", 0.1, 10.0)
    assert settings.train.decoder_lr_ratio == 2.0
    assert (settings.train.beta.over, settings.train.beta.cycles) == (0.5, 2)


def test_train_size_stands_for_the_number_of_training_examples(tmp_path: Path) -> None:
    settings = resolve(load(tmp_path), "ivon", {"lr": 0.1}, train_size=1234)
    assert settings.hyperparameters["ess"] == 1234


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_what_was_drawn_stands_among_the_flat_settings_also_where_it_is_zero(tmp_path: Path, share: float) -> None:
    settings = resolve(load(tmp_path), "adam", {**DRAWN, "train.stages.warm.share": share}, train_size=1000)
    assert settings.flat()["stages.warm.share"] == share


def test_an_illegal_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lr: expected a number > 0, got -1"):
        resolve(load(tmp_path), "adam", {"lr": -1}, train_size=1000)


@pytest.mark.parametrize("key", sorted(DRAWN))
def test_every_searched_key_appears_among_the_flat_settings(tmp_path: Path, key: str) -> None:
    assert canonical(key) in resolve(load(tmp_path), "adam", DRAWN, train_size=1000).flat()


def test_conditions_come_after_what_they_depend_on(tmp_path: Path) -> None:
    keys = list(space(load(tmp_path), "adam"))
    assert keys.index("schedule") < keys.index("final_lr_ratio")


@pytest.mark.parametrize(
    ("drawn", "expected"), [({"schedule": "cosine"}, True), ({"schedule": "constant"}, False), ({}, False)]
)
def test_a_conditional_range_applies_where_its_condition_holds(
    tmp_path: Path, drawn: dict[str, str], expected: bool
) -> None:
    assert applies(load(tmp_path).methods["adam"].search["final_lr_ratio"], drawn) is expected


def test_a_condition_may_name_several_values(tmp_path: Path) -> None:
    study = load(tmp_path, varied(("when: {schedule: cosine}", "when: {schedule: [cosine, constant]}")))
    entry = study.methods["adam"].search["final_lr_ratio"]
    assert applies(entry, {"schedule": "constant"})


@pytest.mark.parametrize(
    ("overrides", "rung"),
    [
        ([], 12),  # a stage at beta 0 may take 0.2 of 20 epochs, the ramp half of the 16 left
        (["search.pruner.grace=13"], 13),
        (["shared_search.train.beta.over.choice=[0.0, 1.0]"], 20),
        (["shared_search.train.beta.over.choice=[0.0]", "train.beta.over=0.0"], 4),  # the stage at beta 0
        (["train.beta.schedule=cyclical"], 18),  # 4 epochs, and (4 - 1 + 0.5) / 4 of 16
        (["train.beta.schedule=constant"], 4),
        (["train.stages=[{name: first, share: 0.3}, {name: warm, share: 0.3, beta: 0.0}, {name: last}]"], 16),
        (["train.stages=[{name: first, share: 0.3}, {name: warm, share: 0.0, beta: 0.0}, {name: last}]"], 10),
        (["train.stages=[{name: first, share: 0.3}, {name: last, beta: 0.5}]"], 10),
    ],
)
def test_the_first_rung_comes_after_every_possible_ramp(tmp_path: Path, overrides: list[str], rung: int) -> None:
    text = varied(("  train.stages.warm.share: {choice: [0.0, 0.2]}\n", "")) if "stages=" in str(overrides) else GOOD
    assert first_rung(load(tmp_path, text, overrides)) == rung
