"""Every audit speaks up on a study built to offend and keeps quiet on one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.analysis.values import around
from tests.made_up import Builder, Made, arm, study
from vaestudy.analysis.audits import Audit, audits
from vaestudy.analysis.compare import compare
from vaestudy.analysis.frames import load
from vaestudy.spec import Study

FIVE_DECADES = {"log": [1e-5, 1.0]}
LINEAR = {"train.beta.schedule": "linear"}
CYCLICAL = {"train.beta.schedule": "cyclical"}


def audited(builder: Builder) -> list[Audit]:
    records = load(builder.folder)
    return audits(records, compare(records))


def on(found: Sequence[Audit], topic: str) -> list[Audit]:
    return [audit for audit in found if audit.topic == topic]


def raised(found: Sequence[Audit], topic: str) -> list[str]:
    """What was found of a topic that a reader should know."""
    return [audit.text for audit in on(found, topic) if audit.level != "fine"]


# --- the design -------------------------------------------------------------------------------------------------------


def pair(one: dict[str, object], other: dict[str, object], **more: object) -> Study:
    return study({"one": one, "other": other}, **more)


def searching(**more: object) -> Study:
    return study(search={"trials": 3, **more})


def confirming(seeds: int, samples: int) -> Study:
    return study(confirm={"seeds": seeds, "iwae_samples": samples})


WIDE = arm(lr=FIVE_DECADES)

OFFENDING = {
    "a sampler that learns": (searching(sampler={"name": "tpe"}), "Search", "the sampler tpe learns from its trials"),
    "a pruner": (searching(pruner={"name": "asha"}), "Search", "the pruner asha stops trials early"),
    "a joint search": (searching(allocation="joint"), "Search", "one search over all methods gives them unequal"),
    "few seeds": (confirming(9, 5000), "Size", "9 confirmation seeds; the protocol asks for 10"),
    "few samples": (confirming(10, 4999), "Size", "NLL bounded with 4999 samples"),
    "one workload": (confirming(10, 5000), "Size", "one workload"),
    "unequal spaces": (
        pair(arm(lr=FIVE_DECADES, beta1={"choice": [0.5, 0.9]}), WIDE),
        "Searched dimensions",
        "unequal: one 2, other 1",
    ),
    "four decades": (pair(arm(), WIDE), "Spaces", "one searches 4.0 decades of the learning rate, fewer than 5"),
    "a linear rate": (pair(arm(lr={"uniform": [0.1, 1.0]}), WIDE), "Spaces", "one searches its learning rate on a lin"),
    "momentum itself": (
        pair(arm("momentum", lr=FIVE_DECADES, momentum={"uniform": [0.0, 0.99]}), WIDE),
        "Spaces",
        "one searches momentum itself, not its distance to 1",
    ),
    "a schedule for one": (
        pair(arm(lr=FIVE_DECADES, warmup={"choice": [0.0, 0.1]}), arm(lr=FIVE_DECADES, beta1={"choice": [0.5, 0.9]})),
        "Spaces",
        "learning-rate schedules are searched for some methods only (one: warmup; other: none)",
    ),
    "beta and rate restart together": (
        pair(arm(fixed={**CYCLICAL, "schedule": "cyclical"}), arm("sgd")),
        "Confounded",
        "one: beta and the learning rate restart together",
    ),
    "both restart in every method": (
        study(("adam",), train={"epochs": 5, "schedule": "cyclical", "beta": {"schedule": "cyclical"}}),
        "Confounded",
        "adam: beta and the learning rate restart together",
    ),
    "remedy and schedule change together": (
        pair(arm(fixed={**LINEAR, "train.schedule": "cosine"}), arm()),
        "Confounded",
        "one and other differ in beta.schedule and in schedule together",
    ),
}

INNOCENT = {
    "sobol trials": (searching(sampler={"name": "sobol"}), "Search"),
    "a study of the paper's size": (
        study(workloads=("u", "v"), confirm={"seeds": 10, "iwae_samples": 5000}),
        "Size",
    ),
    "equal spaces": (pair(WIDE, WIDE), "Searched dimensions"),
    "five decades": (pair(WIDE, WIDE), "Spaces"),
    "rates of a choice": (pair(arm(lr={"choice": [0.1, 0.01]}), WIDE), "Spaces"),
    "momentum by its distance to 1": (
        pair(arm("momentum", lr=FIVE_DECADES, one_minus_momentum={"log": [0.01, 1.0]}), WIDE),
        "Spaces",
    ),
    "a schedule for all": (
        pair(arm(lr=FIVE_DECADES, warmup={"choice": [0.0, 0.1]}), WIDE | {"search": {"train.warmup": {"int": [0, 1]}}}),
        "Spaces",
    ),
    "beta restarts alone": (pair(arm(fixed=CYCLICAL), arm()), "Confounded"),
    "a remedy alone": (pair(arm(fixed=LINEAR), arm()), "Confounded"),
    "a schedule alone": (pair(arm(fixed={"schedule": "cosine"}), arm()), "Confounded"),
    "two optimizers that differ in all": (
        pair(arm("momentum", fixed={**LINEAR, "schedule": "cosine"}), arm()),
        "Confounded",
    ),
    "one schedule under two names": (
        pair(arm(fixed={**LINEAR, "schedule": "cosine"}), arm(fixed={"train.schedule": "cosine"})),
        "Confounded",
    ),
}


@pytest.mark.parametrize("case", OFFENDING)
def test_a_design_that_offends_is_told(tmp_path: Path, case: str) -> None:
    made, topic, text = OFFENDING[case]
    assert [told for told in raised(audited(Builder(tmp_path, made)), topic) if text in told] != []


@pytest.mark.parametrize("case", INNOCENT)
def test_a_design_that_does_not_offend_is_not_held_up(tmp_path: Path, case: str) -> None:
    made, topic = INNOCENT[case]
    assert raised(audited(Builder(tmp_path, made)), topic) == []


def test_stage_p_names_every_reason(tmp_path: Path) -> None:
    made = searching(sampler={"name": "gp"}, pruner={"name": "median"})
    (text,) = raised(audited(Builder(tmp_path, made)), "Search")
    assert text.startswith("stage P: the sampler gp learns from its trials and the pruner median stops trials early;")


def test_a_study_without_a_run_is_audited_for_its_design_alone(small: Builder) -> None:
    assert {audit.topic for audit in audited(small)} == {"Search", "Size", "Searched dimensions", "Spaces"} | {
        "Sub-boxes"
    }


# --- boundaries -------------------------------------------------------------------------------------------------------


def winning_at(tmp_path: Path, rate: float, **searched: object) -> list[Audit]:
    builder = Builder(tmp_path, study({"adam": arm(**searched)}))
    builder.search("adam", [40.0, Made(28.0, {"lr": rate, "beta1": 0.9})])
    return on(audited(builder), "Boundary")


@pytest.mark.parametrize(("lr", "side"), [(2e-4, "low"), (0.5, "high")])
def test_a_winner_in_the_outer_tenth_of_a_log_range_is_at_its_boundary(tmp_path: Path, lr: float, side: str) -> None:
    """Of four decades from 1e-4 the outer tenths end at 2.5e-4 and begin at 0.4."""
    (audit,) = winning_at(tmp_path, lr)
    assert audit.level == "warning"
    assert f"w: adam at the {side} end of lr (0.0001 to 1)" in audit.text


@pytest.mark.parametrize("lr", [2.6e-4, 0.39])
def test_a_winner_within_the_outer_tenths_is_not(tmp_path: Path, lr: float) -> None:
    assert [audit.level for audit in winning_at(tmp_path, lr)] == ["fine"]


def test_only_log_ranges_have_such_boundaries(tmp_path: Path) -> None:
    assert [audit.level for audit in winning_at(tmp_path, 1.0, lr={"uniform": [0.0, 1.0]})] == ["fine"]


def test_a_setting_that_was_not_drawn_is_at_no_boundary(tmp_path: Path) -> None:
    conditional = {"log": [0.001, 0.1], "when": {"amsgrad": True}}
    found = winning_at(tmp_path, 0.01, one_minus_beta1=conditional, amsgrad={"choice": [True, False]})
    assert [audit.level for audit in found] == ["fine"]


# --- inclusion --------------------------------------------------------------------------------------------------------


def chained(tmp_path: Path, momentum: Sequence[float | None], fixed: dict[str, object] | None = None) -> list[Audit]:
    """SGD at 28 nats, and momentum, which contains it."""
    methods = {"momentum": arm("momentum", fixed=fixed), "sgd": arm("sgd")}
    builder = Builder(tmp_path, study(methods, seeds=10))
    for method, values in {"momentum": momentum, "sgd": around(28.0, 10)}.items():
        builder.search(method, [28.0])
        builder.confirm(method, 0, values)
    return on(audited(builder), "Inclusion")


def test_a_method_that_is_worse_than_one_that_it_contains_is_under_tuned(tmp_path: Path) -> None:
    momentum = around(29.0, 10)[::-1]
    (audit,) = chained(tmp_path, momentum)
    half = stats.t.ppf(0.975, 4.2) * stats.sem(np.subtract(momentum, around(28.0, 10)))
    worse = f"+1.00 [{1 - half:+.2f}, {1 + half:+.2f}] nats"
    assert audit.level == "warning"
    assert audit.text.startswith(f"w: momentum contains sgd and is worse by {worse}, detectable ")
    assert audit.text.endswith(": under-tuned at this budget")


def test_a_method_that_fails_where_one_that_it_contains_does_not_is_under_tuned(tmp_path: Path) -> None:
    (audit,) = chained(tmp_path, [*around(27.0, 4), *[49.5] * 3, *[None] * 3])
    assert audit.level == "warning"
    assert "momentum contains sgd and fails in 6 of 10 seeds instead of 0 of 10" in audit.text


@pytest.mark.parametrize("centre", [27.0, 28.0])
def test_a_method_that_is_no_worse_within_its_interval_is_fine(tmp_path: Path, centre: float) -> None:
    (audit,) = chained(tmp_path, around(centre, 10)[::-1])
    assert audit.level == "fine"


@pytest.mark.parametrize("fixed", [{"clip_norm": 1.0}, {"schedule": "cosine"}, LINEAR, {"train.free_bits.nats": 0.1}])
def test_methods_that_train_differently_are_in_no_chain(tmp_path: Path, fixed: dict[str, object]) -> None:
    assert chained(tmp_path, around(29.0, 10)[::-1], fixed) == []


def test_one_common_seed_says_nothing_of_a_chain(tmp_path: Path) -> None:
    assert chained(tmp_path, [29.0]) == []


# --- sub-boxes --------------------------------------------------------------------------------------------------------


def searched_evenly(tmp_path: Path, sgd: float, made: Study | None = None) -> list[Audit]:
    """Sixty trials; adam's loss rises with its rate from 28 to 34 nats, sgd's is the same everywhere."""
    builder = Builder(tmp_path, made or study(trials=60))
    rates = np.geomspace(1e-4, 1.0, 60).tolist()
    builder.search("adam", [Made(28.0 + 6 * i / 59, {"lr": lr}) for i, lr in enumerate(rates)])
    builder.search("sgd", [Made(sgd, {"lr": lr}) for lr in rates])
    return on(audited(builder), "Sub-boxes")


def test_a_ranking_that_depends_on_the_spaces_is_shaky(tmp_path: Path) -> None:
    (audit,) = searched_evenly(tmp_path, sgd=31.0)
    assert audit.level == "note"
    assert audit.text == "w: ranks in 1000 random parts of the spaces (95 %): sgd 1 to 2, adam 1 to 2"


def test_a_ranking_that_holds_in_every_part_of_the_spaces_is_fine(tmp_path: Path) -> None:
    (audit,) = searched_evenly(tmp_path, sgd=40.0)
    assert audit.level == "fine"
    assert audit.text.endswith("sgd 2 to 2, adam 1 to 1")


def test_dependent_trials_have_no_sub_boxes(tmp_path: Path) -> None:
    made = study(search={"trials": 60, "sampler": {"name": "tpe"}})
    assert searched_evenly(tmp_path, sgd=31.0, made=made) == []


def test_too_few_trials_for_sub_boxes_are_told(small: Builder) -> None:
    for method in ("sgd", "adam"):
        small.search(method, [28.0, 29.0, 30.0])
    assert raised(audited(small), "Sub-boxes") == ["w: too few trials to recompute the ranking in parts of the spaces"]


# --- selection and spread ---------------------------------------------------------------------------------------------


def test_a_winner_that_its_best_epoch_would_not_have_chosen_is_told(small: Builder) -> None:
    small.search("adam", [28.0, Made(30.0, metrics={"final/best_val_nelbo": 27.0})])
    (text,) = raised(audited(small), "Selection")
    assert text == "w: judged at each trial's best epoch and not at the cap, these would win: adam #001 instead of #000"


def test_a_winner_that_its_best_epoch_chooses_too_is_not_told(small: Builder) -> None:
    small.search("adam", [Made(28.0, metrics={"final/best_val_nelbo": 26.5}), 30.0])
    assert on(audited(small), "Selection") == []


def test_the_spread_is_split_by_source_without_failed_runs(small: Builder) -> None:
    """Variances: streams 4, 1, 0.25; seeds 9; hyperparameters 16. Every part has a failed run in it."""
    small.search("adam", [28.0, 32.0, 36.0, None])
    small.confirm("adam", 0, [28.0, 31.0, 34.0, 49.9])
    small.sources("adam", 0, "init", [28.0, 30.0, 32.0, 49.9])
    small.sources("adam", 0, "order", [28.0, 29.0, 30.0, 49.9])
    small.sources("adam", 0, "noise", [28.0, 28.5, 29.0, 49.9])
    (audit,) = on(audited(small), "Spread")
    assert audit.text.startswith("w, adam: standard deviations of L_val in nats, without failed runs: ")
    assert audit.text.endswith(": initialisation 2, order 1, noise 0.5, seeds 3, hyperparameters 4")


def test_a_source_that_one_run_varied_is_unknown(small: Builder) -> None:
    small.search("adam", [28.0])
    small.sources("adam", 0, "init", [28.0])
    (audit,) = on(audited(small), "Spread")
    assert audit.text.endswith(
        "initialisation unknown, order unknown, noise unknown, seeds unknown, hyperparameters unknown"
    )


def test_reruns_of_an_earlier_winner_split_nothing(small: Builder) -> None:
    small.search("adam", [30.0, 28.0])
    small.sources("adam", 0, "init", [28.0, 29.0])
    assert on(audited(small), "Spread") == []
