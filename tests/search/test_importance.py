"""Importances of functions whose important setting is known; and the cases in which nothing can be told."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

from tests.search.toy import ranges
from vaestudy.search import Evaluator, importance
from vaestudy.search.importance import FOREST_DEPTH, FOREST_TREES, LEAST_TRIALS, _levels

BOTH: list[Evaluator] = ["ped-anova", "fanova"]
SPACE = ranges(
    lr={"log": (1e-5, 1.0)},
    dropout={"uniform": (0.0, 0.5)},
    layers={"int": (1, 4)},
    schedule={"choice": ("constant", "cosine", "linear")},
)
Settings = list[dict[str, Any]]


def _drawn(count: int, seed: int = 0) -> Settings:
    rng = np.random.default_rng(seed)
    return [
        {
            "lr": float(10.0 ** rng.uniform(-5, 0)),
            "dropout": float(rng.uniform(0, 0.5)),
            "layers": int(rng.integers(1, 5)),
            "schedule": str(rng.choice(["constant", "cosine", "linear"])),
        }
        for _ in range(count)
    ]


def _loss(key: str, trial: dict[str, Any]) -> float:
    """A loss that depends on one setting alone, best in the middle of its range."""
    distance = {
        "lr": abs(math.log10(trial["lr"]) + 2.5) / 2.5,
        "dropout": abs(trial["dropout"] - 0.25) / 0.25,
        "layers": abs(trial["layers"] - 2),
        "schedule": ["cosine", "linear", "constant"].index(trial["schedule"]),
    }[key]
    return 28.0 + 10.0 * distance


@pytest.mark.parametrize("evaluator", BOTH)
@pytest.mark.parametrize("key", list(SPACE))
def test_the_only_setting_that_matters_has_the_importance(evaluator: Evaluator, key: str) -> None:
    drawn = _drawn(100)
    found = importance(drawn, [_loss(key, trial) for trial in drawn], SPACE, evaluator)
    assert next(iter(found)) == key
    assert found[key].share > 0.7
    assert set(found) == set(SPACE) and sum(one.share for one in found.values()) == pytest.approx(1.0)


def test_fanova_finds_the_shares_of_an_additive_function() -> None:
    """Of f = 3 x + y, uniform on the unit square, x explains 9 parts of the variance in 10."""
    space = ranges(x={"uniform": (0.0, 1.0)}, y={"uniform": (0.0, 1.0)})
    drawn = [{"x": float(x), "y": float(y)} for x, y in np.random.default_rng(1).random((200, 2))]
    found = importance(drawn, [3 * trial["x"] + trial["y"] for trial in drawn], space, "fanova")
    assert found["x"].share == pytest.approx(0.9, abs=0.03)


def test_fanova_counts_an_effect_among_small_learning_rates_by_its_decades() -> None:
    """The lowest of five decades differs: 64 nats^2 on the logarithm against 0.3 of the other setting. On the plain
    scale, where that decade is a ten-thousandth of the range, it would explain 0.04."""
    space = ranges(lr={"log": (1e-5, 1.0)}, dropout={"uniform": (0.0, 0.5)})
    drawn = [{key: trial[key] for key in space} for trial in _drawn(100)]
    losses = [20.0 * (trial["lr"] < 1e-4) + 4.0 * trial["dropout"] for trial in drawn]
    assert importance(drawn, losses, space, "fanova")["lr"].share > 0.9


@pytest.mark.parametrize("evaluator", BOTH)
def test_what_the_loss_depends_on_is_told_from_noise_and_the_rest_is_not(evaluator: Evaluator) -> None:
    drawn = _drawn(100)
    noise = np.random.default_rng(0).normal(0.0, 1.0, 100)
    losses = [_loss("lr", trial) + float(more) for trial, more in zip(drawn, noise, strict=True)]
    found = importance(drawn, losses, SPACE, evaluator)
    assert {key for key, one in found.items() if one.told} == {"lr"}


def _told_in_noise(trials: int, searches: int) -> float:
    """The share of searches, whose loss depends on nothing, in which some setting is told from noise."""
    generator = np.random.default_rng(trials)
    found = [
        importance(_drawn(trials, seed), generator.normal(size=trials).tolist(), SPACE) for seed in range(searches)
    ]
    return float(np.mean([any(one.told for one in settings.values()) for settings in found]))


def test_a_loss_that_depends_on_nothing_has_importances_that_are_said_to_be_noise() -> None:
    assert _told_in_noise(trials=25, searches=8) <= 0.25


@pytest.mark.slow
def test_in_one_of_twenty_searches_noise_is_taken_for_an_effect() -> None:
    assert 0.0 < _told_in_noise(trials=30, searches=100) <= 0.12


def test_the_level_of_a_setting_is_what_the_largest_in_units_of_its_mean_reaches_in_5_of_100_permutations() -> None:
    """One setting's importances are 1 to 100, the other's 4 and 6 in turn; their means are 50.5 and 5."""
    first, second = np.arange(1.0, 101.0), np.tile([4.0, 6.0], 50)
    largest = np.sort(np.maximum(first / 50.5, second / 5.0))
    assert _levels(np.stack([first, second], axis=1)) == pytest.approx([50.5 * largest[95], 5.0 * largest[95]])


def test_a_setting_without_importance_under_any_permutation_has_the_level_0() -> None:
    assert _levels(np.array([[0.0, 1.0], [0.0, 3.0]])) == [0.0, 3.0]


def test_a_setting_that_is_as_important_under_every_permutation_is_not_told_from_noise() -> None:
    """The only condition held in one trial: PED-ANOVA gives the setting 0, whatever the losses."""
    drawn = _drawn(40)
    drawn[7]["warmup"] = 0.1
    assert not importance(drawn, [_loss("lr", trial) for trial in drawn], CONDITIONAL)["warmup"].told


def _reference(drawn: Settings, losses: list[float], evaluator: Any) -> dict[str, float]:
    """The importances of the same trials asked and told in an ordinary Optuna study, linear ranges only."""
    study = optuna.create_study()
    for trial_settings, loss in zip(drawn, losses, strict=True):
        study.enqueue_trial(trial_settings)
        trial = study.ask()
        trial.suggest_float("dropout", 0.0, 0.5)
        trial.suggest_int("layers", 1, 4)
        trial.suggest_categorical("schedule", ("constant", "cosine", "linear"))
        study.tell(trial, loss)
    return get_param_importances(study, evaluator=evaluator)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("ped-anova", PedAnovaImportanceEvaluator(target_quantile=0.1)),
        ("fanova", FanovaImportanceEvaluator(n_trees=FOREST_TREES, max_depth=FOREST_DEPTH, seed=3)),
    ],
)
def test_the_importances_are_those_of_the_same_trials_in_a_study(name: Evaluator, theirs: Any) -> None:
    space = {key: entry for key, entry in SPACE.items() if key != "lr"}
    drawn = [{key: trial[key] for key in space} for trial in _drawn(60)]
    losses = [_loss("dropout", trial | {"lr": 1.0}) + _loss("layers", trial | {"lr": 1.0}) for trial in drawn]
    found = importance(drawn, losses, space, name, seed=3)
    assert {key: one.share for key, one in found.items()} == pytest.approx(_reference(drawn, losses, theirs))


def _conditional(count: int) -> Settings:
    drawn = _drawn(count)
    for trial in drawn:
        if trial["schedule"] == "cosine":
            trial["warmup"] = trial["dropout"]
    return drawn


CONDITIONAL = SPACE | ranges(warmup={"uniform": (0.0, 0.5), "when": {"schedule": "cosine"}})


def test_ped_anova_knows_conditional_settings() -> None:
    drawn = _conditional(200)
    losses = [30.0 if "warmup" not in trial else 20.0 + abs(trial["warmup"] - 0.4) for trial in drawn]
    found = importance(drawn, losses, CONDITIONAL)
    assert found["warmup"] > max(found["lr"], found["layers"])


def test_fanova_leaves_out_what_some_trial_lacks() -> None:
    drawn = _conditional(40)
    found = importance(drawn, [_loss("lr", trial) for trial in drawn], CONDITIONAL, "fanova")
    assert set(found) == set(SPACE)


@pytest.mark.parametrize("evaluator", BOTH)
def test_a_condition_that_held_once_is_no_trouble(evaluator: Evaluator) -> None:
    drawn = _drawn(40)
    drawn[7]["warmup"] = 0.1
    found = importance(drawn, [_loss("lr", trial) for trial in drawn], CONDITIONAL, evaluator)
    assert next(iter(found)) == "lr"


@pytest.mark.parametrize("evaluator", BOTH)
def test_what_makes_trials_diverge_is_important(evaluator: Evaluator) -> None:
    drawn = _drawn(80)
    losses = [math.nan if trial["lr"] > 1e-2 else 28.0 + trial["dropout"] for trial in drawn]
    found = importance(drawn, losses, SPACE, evaluator)
    assert found["lr"] > max(found["layers"], found["schedule"])


@pytest.mark.parametrize("evaluator", BOTH)
def test_the_same_trials_have_the_same_importances(evaluator: Evaluator) -> None:
    drawn = _drawn(40)
    losses = [_loss("lr", trial) + trial["layers"] for trial in drawn]
    first, second = (importance(drawn, losses, SPACE, evaluator, seed=5) for _ in range(2))
    assert list(first.items()) == list(second.items())


def test_the_seed_is_that_of_the_forest() -> None:
    drawn = _drawn(40)
    losses = [_loss("lr", trial) + trial["layers"] for trial in drawn]
    assert importance(drawn, losses, SPACE, "fanova", seed=5) != importance(drawn, losses, SPACE, "fanova", seed=6)


@pytest.mark.parametrize("evaluator", BOTH)
@pytest.mark.parametrize(
    "losses",
    [
        list(range(LEAST_TRIALS - 1)),
        [28.0] * 50,
        [math.nan] * 50,
        [28.0, 29.0] + [math.inf] * 48,
    ],
    ids=["too few", "all equal", "all diverged", "fewer than the top converged"],
)
def test_where_nothing_can_be_told_there_are_no_importances(evaluator: Evaluator, losses: list[float]) -> None:
    assert importance(_drawn(len(losses)), losses, SPACE, evaluator) == {}


@pytest.mark.parametrize("evaluator", BOTH)
def test_without_a_searched_setting_there_are_no_importances(evaluator: Evaluator) -> None:
    space = ranges(schedule={"choice": ("constant",)})
    assert importance([{"schedule": "constant"}] * 30, list(range(30)), space, evaluator) == {}


def test_trials_without_a_loss_are_refused() -> None:
    with pytest.raises(ValueError, match="got 30 and 29"):
        importance(_drawn(30), [1.0] * 29, SPACE)


def test_a_value_outside_of_its_range_is_refused() -> None:
    drawn = _drawn(30)
    drawn[3]["dropout"] = 0.9
    with pytest.raises(ValueError, match="dropout"):
        importance(drawn, [float(n) for n in range(30)], SPACE)


def test_the_user_hears_nothing_of_optuna(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    drawn = _drawn(30)
    optuna.logging.enable_propagation()
    try:
        with caplog.at_level(logging.DEBUG):
            importance(drawn, [_loss("lr", trial) for trial in drawn], SPACE)
    finally:
        optuna.logging.disable_propagation()
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
