"""Ranks on random sub-boxes in cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from vaestudy.analysis.statistics.subboxes import VOLUME, RankRange, subbox_ranks

Array = npt.NDArray[np.float64]


def _cube(seed: int, trials: int = 100, dimensions: int = 2) -> Array:
    return np.random.default_rng(seed).random((trials, dimensions))


def _valley(settings: Array, centre: float) -> Array:
    return np.asarray(28.0 + 50.0 * ((settings - centre) ** 2).sum(axis=1))


def test_a_method_that_is_better_everywhere_is_first_in_every_box() -> None:
    settings = _cube(1)
    found = subbox_ranks({"better": (settings, _valley(settings, 0.5)), "worse": (settings, np.full(100, 90.0))})
    assert found.ranks["better"] == RankRange(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert found.ranks["worse"] == RankRange(2.0, 2.0, 2.0, 2.0, 2.0, 0.0)
    assert (found.used, found.left_out) == (1000, 0)


def test_a_lead_that_hangs_on_the_space_is_seen() -> None:
    """``narrow`` wins only in boxes with its valley at the corner, a few of them; in the whole space it leads."""
    narrow, flat = _cube(2, trials=400), _cube(3, trials=400)
    losses = np.where((narrow < 0.15).all(axis=1), 20.0, 60.0)
    found = subbox_ranks({"narrow": (narrow, losses), "flat": (flat, np.full(400, 30.0))})
    assert losses.min() < 30.0
    assert (found.ranks["narrow"].best, found.ranks["narrow"].worst) == (1.0, 2.0)
    assert found.ranks["narrow"].median == 2.0
    assert found.ranks["narrow"].leads + found.ranks["flat"].leads == pytest.approx(1.0)


def test_the_share_of_leads_is_the_chance_that_a_box_holds_the_good_part() -> None:
    """In one dimension a quarter-long box starts uniformly in [0, 3/4]; it meets the good [0, 0.3] up to 0.3."""
    grid = ((np.arange(2000) + 0.5) / 2000)[:, None]
    order = np.random.default_rng(4).permutation(2000)
    good = np.where(grid[order, 0] < 0.3, 20.0, 60.0)
    found = subbox_ranks({"good": (grid[order], good), "flat": (grid, np.full(2000, 30.0))}, boxes=4000)
    assert found.ranks["good"].leads == pytest.approx(0.3 / 0.75, abs=0.03)


def test_equal_methods_lead_equally_often_and_swap_their_ranks() -> None:
    luck = np.random.default_rng(6)
    found = subbox_ranks({name: (_cube(5, 1000), luck.normal(28.0, 1.0, 1000)) for name in ("first", "second")})
    assert (found.ranks["first"].low, found.ranks["first"].high) == (1.0, 2.0)
    assert 0.2 < found.ranks["first"].leads < 0.8


def test_the_ranks_are_those_of_a_search_declared_in_the_box() -> None:
    """By brute force: each box's trials in the order of their numbers, the first n of each method, ranked."""
    trials = {name: (_cube(seed), _valley(_cube(seed), 0.4)) for name, seed in (("a", 7), ("b", 8), ("c", 9))}
    side = math.sqrt(VOLUME)
    bests = []
    starts = {name: np.random.default_rng([3, *name.encode()]).uniform(0, 1 - side, (50, 2)) for name in trials}
    for box in range(50):
        boxed = {}
        for name, (settings, losses) in trials.items():
            low = starts[name][box]
            boxed[name] = [v for x, v in zip(settings, losses, strict=True) if all(low <= x) and all(x <= low + side)]
        budget = min(map(len, boxed.values()))
        bests.append([min(values[:budget]) for values in boxed.values()])
    ranks = np.argsort(np.argsort(bests, axis=1), axis=1) + 1
    found = subbox_ranks(trials, boxes=50, seed=3)
    assert found.used == 50
    for column, name in enumerate(trials):
        ours = found.ranks[name]
        assert (ours.best, ours.worst) == (ranks[:, column].min(), ranks[:, column].max())
        assert ours.leads == pytest.approx((ranks[:, column] == 1).mean())


def test_a_method_with_more_trials_is_given_no_more_of_them() -> None:
    """Without dimensions every box is the whole space: 5 trials against the first 5 of 100."""
    many = np.concatenate([np.full(5, 50.0), np.full(95, 10.0)])
    trials = {"many": (np.empty((100, 0)), many), "few": (np.empty((5, 0)), np.full(5, 40.0))}
    found = subbox_ranks(trials, boxes=10)
    assert found.ranks["few"].leads == 1.0


def test_diverged_trials_are_worse_than_any_other() -> None:
    settings = np.empty((6, 0))
    failing = np.array([math.nan, math.inf, 90.0, math.nan, math.nan, math.nan])
    found = subbox_ranks({"all": (settings, np.full(6, math.nan)), "most": (settings, failing)}, boxes=5)
    assert found.ranks["most"].leads == 1.0 and found.ranks["all"].best == 2.0


def test_ties_share_their_mean_rank() -> None:
    settings = _cube(10)
    found = subbox_ranks({"a": (settings, np.full(100, 30.0)), "b": (settings, np.full(100, 30.0))})
    assert found.ranks["a"] == RankRange(1.5, 1.5, 1.5, 1.5, 1.5, 1.0)


@pytest.mark.parametrize("dimensions", [1, 2, 8])
def test_boxes_keep_a_quarter_of_the_trials_whatever_the_number_of_dimensions(dimensions: int) -> None:
    settings = _cube(11, trials=4000, dimensions=dimensions)
    losses = np.arange(4000.0)
    assert subbox_ranks({"a": (settings, losses)}, boxes=100, least=600).used == 100
    assert subbox_ranks({"a": (settings, losses)}, boxes=100, least=1500).used == 0


def test_boxes_with_too_few_trials_are_left_out_and_counted() -> None:
    few, many = _cube(12, trials=20), _cube(13, trials=200)
    trials = {"few": (few, _valley(few, 0.5)), "many": (many, _valley(many, 0.5))}
    found = subbox_ranks(trials, least=5)
    assert 0 < found.left_out < 1000
    assert found.used + found.left_out == 1000
    assert subbox_ranks(trials, least=0).used > found.used


def test_without_a_used_box_the_ranks_are_unknown() -> None:
    found = subbox_ranks({"a": (_cube(14, trials=4), np.ones(4))})
    assert (found.used, found.left_out) == (0, 1000)
    assert math.isnan(found.ranks["a"].median)


def test_the_seed_alone_decides_about_the_boxes() -> None:
    settings = _cube(15)
    trials = {"a": (settings, _valley(settings, 0.2)), "b": (settings, _valley(settings, 0.8))}
    assert subbox_ranks(trials, seed=1) == subbox_ranks(dict(reversed(trials.items())), seed=1)
    assert subbox_ranks(trials, seed=1) != subbox_ranks(trials, seed=2)


def test_a_setting_that_does_not_apply_lies_in_every_box() -> None:
    unset = np.full((10, 3), math.nan)
    assert subbox_ranks({"a": (unset, np.ones(10))}, least=10).used == 1000


@pytest.mark.parametrize(
    ("settings", "message"), [(np.full((5, 1), 1.2), r"got 1\.2"), (np.zeros((4, 1)), r"\(4, 1\)")]
)
def test_settings_that_do_not_fit_are_refused(settings: Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        subbox_ranks({"a": (settings, np.ones(5))})
