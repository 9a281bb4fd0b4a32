"""Every audit speaks up on a study built to offend and keeps quiet on one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.analysis.values import around
from tests.made_up import Builder, Made, arm, study
from vaestudy.analysis.audits import audits
from vaestudy.analysis.compare import compare
from vaestudy.analysis.design_audits import Audit
from vaestudy.analysis.frames import load
from vaestudy.spec import Study
from vaestudy.spec.models import Component

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


def confirming(seeds: int, samples: int, replicates: int = 10, **more: object) -> Study:
    search = {"trials": 3, "replicates": replicates}
    return study(confirm={"seeds": seeds, "iwae_samples": samples}, search=search, **more)


WIDE = arm(lr=FIVE_DECADES)
TO_SGD: dict[str, object] = {"lr": {"log": [1e-4, 1.0]}, "one_minus_momentum": {"log": [0.01, 1.0]}}
"""A space of momentum that goes as far as SGD without it."""

OFFENDING = {
    "a sampler that learns": (searching(sampler={"name": "tpe"}), "Search", "the sampler tpe learns from its trials"),
    "a pruner": (searching(pruner={"name": "asha"}), "Search", "the pruner asha stops trials early"),
    "a joint search": (searching(allocation="joint"), "Search", "one search over all methods gives them unequal"),
    "one search": (
        confirming(10, 5000, 1),
        "Size",
        "one search of each method: it says nothing about methods, only of",
    ),
    "few searches": (
        confirming(10, 5000, 9),
        "Size",
        "9 replicates of each search; the protocol asks for 10 in a paper",
    ),
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
    "a space that leaves out what its optimizer contains": (
        pair(arm("momentum", lr=FIVE_DECADES), arm("sgd", lr=FIVE_DECADES)),
        "Inclusion",
        "the optimizers contain one another, the declared spaces do not: one does not include other (momentum)",
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
        confirming(10, 5000, workloads=("u", "v")),
        "Size",
    ),
    "a space that includes what its optimizer contains": (pair(arm("momentum", **TO_SGD), arm("sgd")), "Inclusion"),
    "optimizers that train differently": (pair(arm("momentum", fixed=LINEAR), arm("sgd")), "Inclusion"),
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
    found = {audit.topic for audit in audited(small)}
    assert found == {"Search", "Size", "Searched dimensions", "Spaces", "Inclusion", "Sub-boxes"}


# --- sound trials -----------------------------------------------------------------------------------------------------


def surviving(tmp_path: Path, sgd: int, adam: int, replicates: int = 2) -> Audit:
    """So many sound trials of eight in all; the others diverge, or are undertrained, or collapse."""
    builder = Builder(tmp_path, study(search={"trials": 8 // replicates, "replicates": replicates}))
    fates = [Made(None), Made(55.0, failure="undertrained"), Made(49.9)]
    for method, count in {"sgd": sgd, "adam": adam}.items():
        values = [Made(28.0) if trial < count else fates[trial % 3] for trial in range(8)]
        for replicate in range(replicates):
            builder.search(method, values[replicate::replicates], replicate=replicate)
    (audit,) = on(audited(builder), "Sound trials")
    return audit


@pytest.mark.parametrize("replicates", [1, 2])
def test_a_space_with_less_than_half_the_sound_trials_of_another_is_at_fault(tmp_path: Path, replicates: int) -> None:
    audit = surviving(tmp_path, 3, 8, replicates)
    assert audit.level == "warning"
    assert audit.text == (
        "w: sound trials: sgd 3 of 8, adam 8 of 8: the space of sgd holds too few good settings for an equal chance"
    )


def test_half_the_sound_trials_of_another_space_is_fair(tmp_path: Path) -> None:
    audit = surviving(tmp_path, 8, 4)
    assert (audit.level, audit.text) == ("fine", "w: sound trials: sgd 8 of 8, adam 4 of 8, within a factor of 2")


def test_lost_trials_are_no_ones_fault(small: Builder) -> None:
    small.search("sgd", [28.0, 28.0, 28.0], {1: "failed", 2: "cancelled"})
    small.search("adam", [28.0, 28.0, 28.0])
    (audit,) = on(audited(small), "Sound trials")
    assert "sgd 1 of 1, adam 3 of 3" in audit.text


def test_a_method_alone_has_no_other_to_be_fair_to(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(("adam",)))
    builder.search("adam", [28.0])
    assert on(audited(builder), "Sound trials") == []


# --- noise on the weights ---------------------------------------------------------------------------------------------


def noisy(tmp_path: Path, *precisions: float, **model: object) -> list[Audit]:
    """Trials of ivon with these precisions of the noise on the weights."""
    made = study({"ivon": arm("ivon", {"ess": 100.0}), "adam": arm()})
    task = made.workloads["w"].model_copy(update={"model": Component.model_validate({"name": "mlp", **model})})
    builder = Builder(tmp_path, made.model_copy(update={"workloads": {"w": task}}))
    settings = [{"ess": 100.0, "hess_init": value / 100 - 0.25, "weight_decay": 0.25} for value in precisions]
    builder.search("ivon", [Made(28.0, own) for own in settings])
    builder.search("adam", [28.0])
    return on(audited(builder), "Weight noise")


def test_noise_that_starts_wider_than_the_weights_in_most_trials_is_told(tmp_path: Path) -> None:
    """The weights' own size is 1 / sqrt(64): a precision below 64 is wider."""
    (audit,) = noisy(tmp_path, 60.0, 63.9, 64.1, hidden=[64, 32])
    assert audit.level == "warning"
    assert audit.text == (
        "w: in 67 % of the trials of ivon the noise on the weights starts above their own size, 1 / sqrt(64)"
    )


def test_noise_that_starts_narrower_than_the_weights_in_half_of_the_trials_is_fine(tmp_path: Path) -> None:
    (audit,) = noisy(tmp_path, 63.9, 64.1, hidden=[64])
    assert (audit.level, "in 50 % of the trials of ivon" in audit.text) == ("fine", True)


def test_without_hidden_layers_nothing_is_known_of_the_weights_size(tmp_path: Path) -> None:
    assert noisy(tmp_path, 60.0) == []


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


def test_of_several_searches_it_is_said_how_many_winners_lie_there(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(("adam",), search={"trials": 1, "replicates": 3}))
    for replicate, rate in enumerate([2e-4, 0.01, 1.5e-4]):
        builder.search("adam", [Made(28.0, {"lr": rate})], replicate=replicate)
    (audit,) = on(audited(builder), "Boundary")
    assert audit.text.startswith("w: adam at the low end of lr (0.0001 to 1) in 2 of 3 replicates: widen these ranges")


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


def chained(
    tmp_path: Path, momentum: Sequence[float | None], fixed: dict[str, object] | None = None, **searched: object
) -> list[Audit]:
    """SGD at 28 nats, and momentum, whose space includes it."""
    methods = {"momentum": arm("momentum", fixed=fixed, **(searched or TO_SGD)), "sgd": arm("sgd")}
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
    assert "momentum contains sgd and fails in 6 of 10 confirmation runs instead of 0 of 10" in audit.text


@pytest.mark.parametrize("centre", [27.0, 28.0])
def test_a_method_that_is_no_worse_within_its_interval_is_fine(tmp_path: Path, centre: float) -> None:
    (audit,) = chained(tmp_path, around(centre, 10)[::-1])
    assert audit.level == "fine"


@pytest.mark.parametrize("fixed", [{"clip_norm": 1.0}, {"schedule": "cosine"}, LINEAR, {"train.free_bits.nats": 0.1}])
def test_methods_that_train_differently_are_in_no_chain(tmp_path: Path, fixed: dict[str, object]) -> None:
    assert chained(tmp_path, around(29.0, 10)[::-1], fixed) == []


def test_one_common_seed_says_nothing_of_a_chain(tmp_path: Path) -> None:
    assert chained(tmp_path, [29.0]) == []


def test_a_space_that_does_not_include_another_is_not_held_to_it(tmp_path: Path) -> None:
    (audit,) = chained(tmp_path, around(29.0, 10)[::-1], lr={"log": [1e-4, 1.0]})
    assert audit.text == (
        "the optimizers contain one another, the declared spaces do not: momentum does not include sgd (momentum)"
    )


def replicated(tmp_path: Path, momentum: dict[int, list[float | None]]) -> list[Audit]:
    """Two confirmation runs in each replicate; SGD's at 28 nats, momentum's as given."""
    methods = {"momentum": arm("momentum", **TO_SGD), "sgd": arm("sgd")}
    search = {"trials": 1, "replicates": len(momentum)}
    builder = Builder(tmp_path, study(methods, seeds=2, search=search))
    for replicate, values in momentum.items():
        for method, found in {"momentum": values, "sgd": [28.0, 28.1]}.items():
            builder.search(method, [28.0], replicate=replicate)
            builder.confirm(method, 0, found, replicate=replicate)
    return on(audited(builder), "Inclusion")


def test_of_several_searches_a_chain_is_judged_by_replicate(tmp_path: Path) -> None:
    gaps = [0.9, 1.0, 1.1, 1.0]
    (audit,) = replicated(tmp_path, {r: [28.0 + gap, 28.1 + gap] for r, gap in enumerate(gaps)})
    half = stats.t.ppf(0.975, (2 * 3 + 3) / 5) * stats.sem(gaps)
    assert f"is worse by +1.00 [{1 - half:+.2f}, {1 + half:+.2f}] nats" in audit.text


def test_one_search_whose_every_run_fails_does_not_convict_a_space(tmp_path: Path) -> None:
    """All runs of one replicate of four fail, as seeds of one search would: 2 of 8 are not 2 of 8 independent ones."""
    runs: dict[int, list[float | None]] = {r: [28.0, 28.1 + 0.01 * r] for r in range(3)}
    (audit,) = replicated(tmp_path, {**runs, 3: [None, None]})
    assert audit.level == "fine"


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


def test_of_several_searches_it_is_said_in_how_many_the_best_epoch_chooses_otherwise(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(("adam",), search={"trials": 2, "replicates": 3}))
    for replicate, best in enumerate([27.0, 29.0, 27.5]):
        later = Made(30.0, metrics={"final/best_val_nelbo": best})
        builder.search("adam", [28.0, later], replicate=replicate)
    (text,) = raised(audited(builder), "Selection")
    assert text.endswith("these would win: others of adam in 2 of 3 replicates")


# --- measurements -----------------------------------------------------------------------------------------------------


def bounded(tmp_path: Path, gap: float, biases: tuple[float, float], primary: str = "nll") -> list[Audit]:
    """Ten seeds each of sgd and adam, which differ by this much, with these biases of the bound on their NLL."""
    builder = Builder(tmp_path, study(seeds=10, report={"baseline": "adam", "primary": primary}))
    jitter = around(0.0, 10, 0.02)
    for method, values, bias in (("sgd", around(28.0, 10), biases[0]), ("adam", around(28.0, 10), biases[1])):
        shifted = [v + (gap + j if method == "adam" else 0.0) for v, j in zip(values, jitter, strict=True)]
        builder.search(method, [28.0])
        builder.confirm(method, 0, [Made(value, metrics={"final/test_nll_bias": bias}) for value in shifted])
    return on(audited(builder), "Bound")


def test_a_bias_above_a_tenth_of_what_is_told_is_too_much(tmp_path: Path) -> None:
    (audit,) = bounded(tmp_path, 1.0, (0.05, 0.11))
    assert audit.level == "warning"
    assert audit.text == (
        "w: the bound on the test NLL is too high by up to 0.11 nats (adam), more than a tenth of the smallest "
        "difference that is told, 1 nats: raise confirm.iwae_samples"
    )


def test_a_bias_below_a_tenth_of_what_is_told_is_fine(tmp_path: Path) -> None:
    (audit,) = bounded(tmp_path, 1.0, (0.09, 0.05))
    assert audit.level == "fine"
    assert audit.text.startswith(
        "w: the bound on the test NLL is too high by up to 0.09 nats (sgd), at most a tenth of"
    )


def test_where_nothing_is_told_the_bias_is_held_against_what_could_be(tmp_path: Path) -> None:
    (audit,) = bounded(tmp_path, 0.0, (0.01, 0.01))
    assert audit.level == "warning"
    assert "the smallest difference that could be told, 0.0" in audit.text


def test_a_bias_of_what_nothing_is_told_by_is_told_alone(tmp_path: Path) -> None:
    (audit,) = bounded(tmp_path, 1.0, (0.5, 0.4), primary="elbo")
    assert (audit.level, audit.text) == (
        "fine",
        "w: the bound on the test NLL is too high by up to 0.5 nats (sgd); the primary score does not use it",
    )


def informed(small: Builder, *values: float) -> list[Audit]:
    """Sgd's confirmation runs with this mutual information of at most 5 nats, adam's with 1."""
    for method, found in {"sgd": values, "adam": (1.0, 1.0)}.items():
        small.search(method, [28.0])
        measured = [{"final/mutual_information": value, "final/mutual_information_limit": 5.0} for value in found]
        small.confirm(method, 0, [Made(28.0, metrics=metrics) for metrics in measured])
    return on(audited(small), "Mutual information")


def test_mutual_information_at_its_limit_is_a_lower_bound(small: Builder) -> None:
    (audit,) = informed(small, 4.4, 4.8)
    assert audit.level == "note"
    assert audit.text == (
        "w: mutual information near the logarithm of the number of examples is a lower bound: sgd 4.60 of 5.00 nats"
    )


def test_mutual_information_well_below_its_limit_is_what_it_is(small: Builder) -> None:
    assert informed(small, 4.4, 4.6) == []


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
