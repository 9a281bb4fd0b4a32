"""Targets and times to them: numbers worked out by hand on curves with an evaluation every 20 gradient evaluations."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.made_up import Builder, Made, falling, study
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.targets import Reach, Target, reaches, target

NEVER = falling(70.0, 45.0, 41.0, 40.0, 40.0, 40.0)


def below_29_at(evaluation: int) -> Made:
    """A run that is below 29 nats from this evaluation on."""
    return Made(28.5, curve=falling(*[70.0] * evaluation, *[28.5] * (6 - evaluation)))


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Reruns of the best trial, adam #001, with a median best of 29 nats; two groups of five trials, and two more."""
    builder = Builder(tmp_path_factory.mktemp("raced"), study(trials=12, target={"seeds": 5}))
    miss = Made(40.0, curve=NEVER)
    builder.search("adam", [miss, Made(28.0, curve=below_29_at(2).curve), *[miss] * 4, *[below_29_at(4)] * 4])
    builder.search("sgd", [*[below_29_at(3)] * 5, *[miss] * 5, *[below_29_at(1)] * 2])
    builder.target("adam", 1, [Made(50.0, metrics={"final/best_val_nelbo": best}) for best in (31, 27, 29, 30, 28.5)])
    diverged = Made(None, curve=falling(70.0, 69.0))
    builder.confirm("adam", 1, [below_29_at(2), below_29_at(4), miss, diverged])
    builder.confirm("sgd", 0, [below_29_at(3), below_29_at(3), below_29_at(3), below_29_at(5)])
    return load(builder.folder)


@pytest.fixture(scope="module")
def by_method(raced: Records) -> dict[str, Reach]:
    return {found.method: found for found in reaches(raced, [target(raced, "w")])}


def declared(tmp_path: Path, nats: float) -> Target:
    builder = Builder(tmp_path, study(target={"nats": {"w": nats}}))
    builder.search("adam", [30.0, 35.0])
    return target(load(builder.folder), "w")


def test_the_target_is_the_median_of_the_best_losses_of_the_best_trials_reruns(raced: Records) -> None:
    found = target(raced, "w")
    assert (found.nats, found.usable) == (29.0, True)
    assert found.origin == "median of the best of 5 reruns of adam #001"


def test_reference_methods_can_be_named(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(target={"seeds": 2, "methods": ["sgd"]}))
    builder.search("adam", [28.0])
    builder.search("sgd", [40.0, 30.0])
    builder.target("sgd", 1, [30.0, 31.0])
    assert target(load(builder.folder), "w").nats == 30.5


def test_the_reference_is_chosen_within_its_trials(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(target={"seeds": 2, "trials": 2}))
    builder.search("adam", [30.0, 29.0, 28.0])
    builder.target("adam", 1, [29.5, 29.5])
    assert target(load(builder.folder), "w").origin.endswith("adam #001")


def test_a_declared_target_is_taken_as_it_is(tmp_path: Path) -> None:
    found = declared(tmp_path, 32.0)
    assert (found.nats, found.origin, found.usable) == (32.0, "declared in the study file", True)


def test_a_target_half_way_to_the_constant_decoder_is_invalid(tmp_path: Path) -> None:
    """Trivial 50, best 30: the middle is 40."""
    found = declared(tmp_path, 40.0)
    assert not found.usable
    assert found.problem == "40.00 nats is not below 40.00, halfway from the constant decoder to the best run"


def test_a_target_just_below_the_middle_is_valid(tmp_path: Path) -> None:
    assert declared(tmp_path, 39.99).usable


def test_a_study_that_asks_for_no_target_has_none(small: Builder) -> None:
    small.search("adam", [30.0])
    found = target(load(small.folder), "w")
    assert (found.problem, found.usable) == ("the study file declares no target", False)
    assert math.isnan(found.nats)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"seeds": 5}, "the stage target has not run"),
        ({"nats": {"w": 30.0}}, "no run has ended that it could be judged by"),
    ],
)
def test_before_the_first_run_there_is_no_target(tmp_path: Path, asked: dict[str, object], why: str) -> None:
    assert target(load(Builder(tmp_path, study(target=asked)).folder), "w").problem == why


def test_without_reruns_there_is_no_target(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(target={"seeds": 5}))
    builder.search("adam", [30.0])
    assert target(load(builder.folder), "w").problem == "the stage target has not run"


def test_reruns_of_what_is_no_longer_the_best_trial_do_not_count(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(target={"seeds": 2}))
    builder.search("adam", [30.0, 28.0])
    builder.target("adam", 0, [30.0, 30.0])
    assert target(load(builder.folder), "w").problem == "no rerun of the reference method has ended"


def test_each_seed_has_the_cost_of_its_first_evaluation_at_the_target(by_method: dict[str, Reach]) -> None:
    assert by_method["adam"].times == {1: 40.0, 2: 80.0, 3: math.inf, 4: math.inf}
    assert by_method["sgd"].times == {1: 60.0, 2: 60.0, 3: 60.0, 4: 100.0}


def test_a_seed_that_misses_the_target_was_watched_to_its_cap(by_method: dict[str, Reach]) -> None:
    assert by_method["adam"].capped == {1: 40.0, 2: 80.0, 3: 100.0, 4: 100.0}


def test_a_replicate_takes_as_long_as_the_median_of_its_seeds(tmp_path: Path) -> None:
    made = study(("adam",), search={"trials": 1, "replicates": 2}, target={"nats": {"w": 29.0}})
    builder = Builder(tmp_path, made)
    miss = Made(40.0, curve=NEVER)
    for replicate, runs in enumerate([[below_29_at(4), below_29_at(1), below_29_at(2)], [miss, below_29_at(1), miss]]):
        builder.search("adam", [28.0], replicate=replicate)
        builder.confirm("adam", 0, runs, replicate=replicate)
    records = load(builder.folder)
    (found,) = reaches(records, [target(records, "w")])
    assert (found.times, found.capped) == ({0: 40.0, 1: math.inf}, {0: 40.0, 1: 100.0})


def test_seeds_that_miss_the_target_are_censored_at_the_cap_even_if_they_diverged_before(
    by_method: dict[str, Reach],
) -> None:
    """Seed 4 diverged at 20: censored there it would leave two of three and one of three."""
    curve = by_method["adam"].curve
    assert curve is not None
    assert (curve.times.tolist(), curve.survival.tolist()) == ([40.0, 80.0], [0.75, 0.5])
    assert curve.median.estimate == 80.0


def test_a_target_that_most_seeds_miss_has_an_infinite_median(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(methods=("adam",), target={"nats": {"w": 29.0}}))
    builder.search("adam", [28.0])
    builder.confirm("adam", 0, [below_29_at(2), *[Made(40.0, curve=NEVER)] * 3])
    records = load(builder.folder)
    (found,) = reaches(records, [target(records, "w")])
    assert found.curve is not None and found.curve.median.estimate == math.inf


def test_the_score_of_a_method_is_the_median_over_groups_of_five_trials_of_their_fastest(
    by_method: dict[str, Reach],
) -> None:
    """adam: 40 in trials 0 to 4, 80 in 5 to 9. sgd: 60 and never; its trials 10 and 11 make no group of five."""
    assert by_method["adam"].algoperf == 60.0
    assert by_method["sgd"].algoperf == math.inf


def test_fewer_than_five_trials_have_no_score(small: Builder) -> None:
    small.search("adam", [below_29_at(1)] * 4)
    goal = Target("w", 29.0, "declared in the study file", "")
    assert all(math.isnan(found.algoperf) for found in reaches(load(small.folder), [goal]))


def test_a_method_without_a_confirmed_seed_has_no_curve(small: Builder) -> None:
    small.search("adam", [28.0])
    found = reaches(load(small.folder), [Target("w", 29.0, "declared in the study file", "")])
    assert [(one.method, one.times, one.curve) for one in found] == [("sgd", {}, None), ("adam", {}, None)]


def test_unusable_targets_are_reached_by_nobody(raced: Records) -> None:
    assert reaches(raced, [Target("w", 45.0, "declared in the study file", "too near to the constant decoder")]) == []
