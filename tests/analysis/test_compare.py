"""What the comparison says, and what it refuses to say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import pytest
from scipy import stats

from tests.analysis.values import around
from tests.made_up import Builder, Made, study
from vaestudy.analysis.compare import ONE_SEARCH, WORDS, Comparison, Row, compare, means
from vaestudy.analysis.frames import load
from vaestudy.records import DEFAULTS


def compared(builder: Builder) -> Comparison:
    return compare(load(builder.folder))


def row(comparison: Comparison, method: str, budget: int | None = None) -> Row:
    return next(r for r in comparison.rows if r.method == method and budget in (None, r.budget))


def leaders(comparison: Comparison) -> set[str]:
    return {comparison.rows[index].method for index in comparison.leading}


def test_six_seeds_and_four_collapsed_ones_are_a_collapse_rate_and_the_mean_of_the_six(
    two_groups: Builder,
) -> None:
    sgd = row(compared(two_groups), "sgd")
    rate = sgd.confirm_failures["collapsed"]
    assert (rate.estimate, rate.n) == (0.4, 10)
    assert (rate.low, rate.high) == pytest.approx((0.1216, 0.7376), abs=5e-5)
    assert (sgd.nll.estimate, sgd.nll.n) == (pytest.approx(28.80), 6)
    assert sgd.bimodal


def test_a_method_that_always_collapses_has_a_rate_and_no_mean(two_groups: Builder) -> None:
    momentum = row(compared(two_groups), "momentum")
    assert momentum.confirm_failures["collapsed"].estimate == 1.0
    assert math.isnan(momentum.nll.estimate)
    assert not momentum.bimodal


def test_the_answer_names_the_failures_that_no_mean_shows(two_groups: Builder) -> None:
    (answer,) = compared(two_groups).answers
    assert "adam has the lowest mean test NLL, 27.83 nats per example, ahead of sgd." in answer
    assert "Failed, and in no mean: sgd 4 of 10, momentum 10 of 10." in answer


def test_methods_come_best_first_and_those_without_a_mean_last(two_groups: Builder) -> None:
    assert [r.method for r in compared(two_groups).rows] == ["adam", "sgd", "momentum"]


def test_nobody_wins_where_the_interval_of_the_difference_reaches_zero(small: Builder) -> None:
    for method, centre in {"sgd": 28.0, "adam": 28.05}.items():
        small.search(method, [centre])
        noise = [0.4, -0.4, 0.1, -0.1, 0.0] if method == "sgd" else [-0.4, 0.4, -0.1, 0.1, 0.0]
        small.confirm(method, 0, [centre + value for value in noise])
    comparison = compared(small)
    assert (
        "sgd has the lowest mean test NLL, 28.00 nats per example, but cannot be told apart from adam with 5 seeds."
        in (comparison.answers[0])
    )
    assert leaders(comparison) == {"sgd", "adam"}


def test_a_difference_that_all_seeds_show_has_a_winner(small: Builder) -> None:
    for method, centre in {"sgd": 29.0, "adam": 28.0}.items():
        small.search(method, [centre])
        small.confirm(method, 0, around(centre, 5))
    comparison = compared(small)
    assert (
        "adam has the lowest mean test NLL, 28.00 nats per example, ahead of every other method."
        in (comparison.answers[0])
    )
    assert leaders(comparison) == {"adam"}


def test_one_seed_that_did_well_is_not_ahead_of_a_method_with_many(small: Builder) -> None:
    small.search("sgd", [20.0])
    small.confirm("sgd", 0, [20.0, 52.9, 52.9])
    small.search("adam", [28.0])
    small.confirm("adam", 0, around(28.0, 3))
    comparison = compared(small)
    assert "not enough confirmed runs" in comparison.answers[0]
    assert comparison.rows[0].method == "adam"


def test_the_difference_to_the_baseline_is_paired_by_seed(small: Builder) -> None:
    for method, values in {"adam": [28.0, 30.0, 26.0, 31.0], "sgd": [28.5, 30.6, 26.5, 31.6]}.items():
        small.search(method, [28.0])
        small.confirm(method, 0, values)
    sgd, adam = row(compared(small), "sgd"), row(compared(small), "adam")
    assert adam.difference is None
    assert sgd.difference is not None and sgd.difference.n == 4
    assert sgd.difference.estimate == pytest.approx(0.55)
    assert sgd.difference.half_width < 0.15 < 5 < sgd.nll.half_width
    assert 0.15 < sgd.detectable < 0.3


def test_diverged_runs_are_counted_and_never_averaged(small: Builder) -> None:
    small.search("adam", [28.0, None, 52.9], {2: "pruned"})
    small.confirm("adam", 0, [*around(28.0, 3), None, 90.0])
    adam = row(compared(small), "adam")
    assert adam.nll.estimate == pytest.approx(28.0)
    assert (adam.seeds, adam.failed, adam.confirm_failures["diverged"].count) == (5, 2, 2)
    assert (adam.failed_trials, adam.search_failures["diverged"].estimate) == (1, pytest.approx(1 / 3))
    assert adam.trials == {"done": 1, "pruned": 1, "diverged": 1}


def test_infrastructure_failures_are_nobodys_failure_rate(small: Builder) -> None:
    small.search("adam", [28.0, None, None], {1: "failed", 2: "cancelled"})
    small.confirm("adam", 0, [*around(28.0, 3), None], {4: "failed"})
    adam = row(compared(small), "adam")
    assert (adam.seeds, adam.confirm_failures["diverged"].n, adam.search_failures["diverged"].n) == (3, 3, 1)
    assert adam.trials["failed"] == 1


def test_each_budget_has_the_winner_of_its_first_trials(tmp_path: Path) -> None:
    small = Builder(tmp_path, study(confirm={"budgets": [1, 3], "seeds": 2, "iwae_samples": 10}))
    for method in ("sgd", "adam"):
        small.search(method, [30.0, 31.0, 29.0])
        small.confirm(method, 0, around(30.0, 2))
        small.confirm(method, 2, around(29.0, 2))
    comparison = compared(small)
    assert [(r.budget, r.winners) for r in comparison.rows] == [(1, {0: 0})] * 2 + [(3, {0: 2})] * 2
    assert row(comparison, "adam", 1).nll.estimate == pytest.approx(30.0)
    assert row(comparison, "adam", 3).nll.estimate == pytest.approx(29.0)
    assert row(comparison, "adam", 1).grad_evals == (100.0, 200.0)
    assert len(comparison.answers) == 2


def test_the_best_setting_has_the_searched_keys_alone(two_groups: Builder) -> None:
    assert row(compared(two_groups), "adam").settings == {"lr": (0.1,)}


def test_every_workload_is_compared_on_its_own(tmp_path: Path) -> None:
    small = Builder(tmp_path, study(workloads=("mnist", "fashion")))
    for workload, method, centre in [
        ("mnist", "sgd", 28.0),
        ("mnist", "adam", 29.0),
        ("fashion", "sgd", 24.0),
        ("fashion", "adam", 23.0),
    ]:
        small.search(method, [centre], workload=workload)
        small.confirm(method, 0, around(centre, 3), workload=workload)
    assert [(r.workload, r.method) for r in compared(small).rows] == [
        ("mnist", "sgd"),
        ("mnist", "adam"),
        ("fashion", "adam"),
        ("fashion", "sgd"),
    ]


def test_a_study_without_any_run_has_no_answer_yet(small: Builder) -> None:
    comparison = compared(small)
    assert "not enough confirmed runs" in comparison.answers[0]
    assert all(r.winners == {} and r.seeds == 0 for r in comparison.rows)
    assert not comparison.leading


def test_the_published_defaults_are_a_budget_of_their_own(tmp_path: Path) -> None:
    made = study(methods=("adam",), trials=2, confirm={"seeds": 3, "defaults": True, "iwae_samples": 10})
    builder = Builder(tmp_path, made)
    builder.search("adam", [30.0, 29.0])
    builder.confirm("adam", DEFAULTS, around(31.0, 3))
    builder.confirm("adam", 1, around(29.0, 3))
    untuned, tuned = compare(load(builder.folder)).rows
    assert (untuned.budget, untuned.winners, untuned.grad_evals[0]) == (0, {0: DEFAULTS}, 0.0)
    assert untuned.nll.estimate == pytest.approx(31.0)
    assert (tuned.budget, tuned.winners) == (2, {0: 1})


# --- replicates -------------------------------------------------------------------------------------------------------


def replicated(tmp_path: Path, shifts: dict[str, Sequence[float]], primary: str = "nll") -> Builder:
    """Three replicates of a search of one trial and two seeds for each method; the replicates' scores are given."""
    made = study(search={"trials": 1, "replicates": 3}, report={"baseline": "adam", "primary": primary})
    builder = Builder(tmp_path, made)
    for method, values in shifts.items():
        for replicate, value in enumerate(values):
            builder.search(method, [value], replicate=replicate)
            builder.confirm(method, 0, [value - 0.1, value + 0.1], replicate=replicate)
    return builder


def test_a_replicates_score_is_the_mean_of_its_seeds_and_the_methods_is_that_of_its_replicates(tmp_path: Path) -> None:
    sgd = row(compared(replicated(tmp_path, {"sgd": [28.0, 28.6, 29.0], "adam": [28.0, 28.0, 28.0]})), "sgd")
    assert means(sgd.scores) == pytest.approx({0: 28.0, 1: 28.6, 2: 29.0})
    assert (sgd.score.n, sgd.seeds, sgd.sound) == (3, 6, 6)
    assert sgd.score.estimate == pytest.approx(28.5333333)


def test_a_difference_that_one_search_would_claim_is_not_claimed_where_the_searches_disagree(tmp_path: Path) -> None:
    """Adam less SGD: -0.4, 0.3, -0.2; within a search the seeds agree to the last digit."""
    comparison = compared(replicated(tmp_path, {"sgd": [28.4, 28.0, 28.2], "adam": [28.0, 28.3, 28.0]}))
    assert leaders(comparison) == {"sgd", "adam"}
    assert "cannot be told apart from sgd with 3 replicates." in comparison.answers[0]
    assert ONE_SEARCH not in comparison.answers[0]


def test_the_interval_of_a_difference_is_that_of_the_replicates(tmp_path: Path) -> None:
    """-0.4, 0.3, -0.2: Student's t at 1.4 degrees of freedom, t(0.975, 1.4) = 6.657."""
    found = row(
        compared(replicated(tmp_path, {"sgd": [28.4, 28.0, 28.2], "adam": [28.0, 28.3, 28.0]})), "sgd"
    ).difference
    assert found is not None
    assert (found.estimate, found.n) == (pytest.approx(0.1), 3)
    assert found.half_width == pytest.approx(6.6570 * statistics.stdev([0.4, -0.3, 0.2]) / math.sqrt(3), rel=1e-4)


def test_one_search_says_that_it_speaks_of_winners(small: Builder) -> None:
    for method in ("sgd", "adam"):
        small.search(method, [28.0])
        small.confirm(method, 0, around(28.0, 4))
    assert ONE_SEARCH in compared(small).answers[0]


def test_a_replicate_whose_runs_all_failed_is_in_no_mean_and_in_the_rates(tmp_path: Path) -> None:
    builder = replicated(tmp_path, {"sgd": [28.4, 28.0, 52.0], "adam": [28.0, 28.3, 28.0]})
    sgd = row(compared(builder), "sgd")
    assert sorted(sgd.scores) == [0, 1]
    assert (sgd.sound, sgd.seeds, sgd.confirm_failures["collapsed"].count) == (4, 6, 2)


def test_the_winner_of_each_replicate_is_its_own(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(methods=("adam",), search={"trials": 2, "replicates": 2}))
    for replicate, values in enumerate(([28.0, 29.0], [29.5, 28.5])):
        builder.search("adam", values, replicate=replicate)
        builder.confirm("adam", replicate, [28.1], replicate=replicate)
    assert row(compared(builder), "adam").winners == {0: 0, 1: 1}


@pytest.mark.parametrize(("primary", "estimate"), [("nll", 28.1), ("elbo", 28.6)])
def test_the_declared_score_is_the_one_that_is_ranked(tmp_path: Path, primary: str, estimate: float) -> None:
    comparison = compared(replicated(tmp_path, {"sgd": [29.0] * 3, "adam": [28.0, 28.1, 28.2]}, primary))
    assert comparison.primary == primary
    assert row(comparison, "adam").score.estimate == pytest.approx(estimate)
    assert f"lowest mean {WORDS[primary]}, {estimate:.2f}" in comparison.answers[0]


def test_test_examples_are_in_the_interval_where_their_blocks_are_known(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(methods=("adam",), search={"trials": 1, "replicates": 2}))
    blocks = {"test/nll_blocks": [27.0, 29.0, 27.5, 28.5]}
    for replicate in range(2):
        builder.search("adam", [28.0], replicate=replicate)
        builder.confirm("adam", 0, [Made(28.0, vectors=blocks)], replicate=replicate)
    found = row(compared(builder), "adam").score
    error = statistics.stdev(blocks["test/nll_blocks"]) / 2
    assert found.estimate == pytest.approx(28.0)
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, 3) * error, rel=1e-6)
