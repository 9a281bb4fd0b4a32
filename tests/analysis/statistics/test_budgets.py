"""What a budget buys, against enumeration of all subsets."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaestudy.analysis.statistics import budgets
from vaestudy.analysis.statistics.budgets import expected_best, expected_best_band
from vaestudy.analysis.statistics.leaders import leader_changes, probability_best

LOSSES = st.lists(
    st.integers(0, 6).map(float), min_size=4, max_size=4
)  # small integers: ties within and across methods


def wins_by_enumeration(values: dict[str, list[float]], n: int) -> Counter[str]:
    """The share of all ways to draw n of each method's trials that a method wins; equal bests share."""
    wins: Counter[str] = Counter()
    draws = list(itertools.product(*(itertools.combinations(losses, n) for losses in values.values())))
    for draw in draws:
        best = dict(zip(values, map(min, draw), strict=True))
        winners = [method for method, loss in best.items() if loss == min(best.values())]
        for method in winners:
            wins[method] += 1 / len(winners) / len(draws)  # type: ignore[assignment]
    return wins


@settings(max_examples=30)
@given(LOSSES, LOSSES, LOSSES)
def test_the_chance_to_be_best_is_that_over_all_draws(a: list[float], b: list[float], c: list[float]) -> None:
    values = {"a": a, "b": b, "c": c}
    found = probability_best(values)
    for n in range(1, 5):
        wins = wins_by_enumeration(values, n)
        assert [found[method][1, n - 1] for method in values] == pytest.approx([wins[method] for method in values])


def test_methods_may_have_unequal_numbers_of_trials() -> None:
    values = {"a": [3.0, 1.0, 2.0, 7.0, 8.0], "b": [2.5, 1.5, 4.0]}
    found = probability_best(values)
    assert found["a"].shape == (3, 3)
    assert found["a"][1, 1] == pytest.approx(wins_by_enumeration(values, 2)["a"])


def trials(count: int, seed: int = 0) -> dict[str, list[float]]:
    generator = np.random.default_rng(seed)
    return {
        "steady": generator.normal(30.0, 0.5, count).tolist(),
        "lucky": generator.normal(31.0, 3.0, count).tolist(),
        "poor": generator.normal(34.0, 0.5, count).tolist(),
    }


def test_the_chances_of_all_methods_add_to_one_and_lie_within_their_bands() -> None:
    found = probability_best(trials(50))
    assert sum(band[1] for band in found.values()) == pytest.approx(np.ones(50))
    for method in ("steady", "lucky"):
        low, estimate, high = found[method][:, :10]
        assert (low < estimate).all() and (estimate < high).all()


def test_chances_have_bands_up_to_a_fifth_of_the_trials() -> None:
    bands = probability_best(trials(50))["lucky"]
    assert np.isfinite(bands[:, :10]).all() and np.isnan(bands[[0, 2], 10:]).all()
    assert np.isnan(probability_best(trials(24))["lucky"][[0, 2]]).all()


def test_one_method_alone_is_best() -> None:
    assert probability_best({"adam": [1.0, 2.0]})["adam"][1] == pytest.approx(np.ones(2))


def test_a_method_without_trials_leaves_no_budget() -> None:
    assert probability_best({"adam": [1.0], "sgd": []})["adam"].shape == (3, 0)
    assert leader_changes({"adam": [1.0], "sgd": []}) == []


@pytest.mark.parametrize("function", [expected_best, expected_best_band])
def test_a_failed_trial_needs_a_finite_loss(function) -> None:
    with pytest.raises(ValueError, match="not inf: give a failed trial the trivial loss"):
        function([1.0, math.inf])


def test_the_band_encloses_the_expected_best_up_to_half_the_trials() -> None:
    losses = trials(40)["lucky"]
    low, estimate, high = expected_best_band(losses)
    assert estimate == pytest.approx(expected_best(losses))
    assert (low[:20] < estimate[:20]).all() and (estimate[:20] < high[:20]).all()
    assert np.isnan(low[20:]).all() and np.isnan(high[20:]).all()


def test_the_jackknife_leaves_each_trial_out() -> None:
    losses = sorted(trials(30)["lucky"])
    without = [expected_best(losses[:place] + losses[place + 1 :]) for place in range(30)]
    errors = budgets._jackknife_errors(np.array(losses), np.arange(1, 16))
    assert errors == pytest.approx(math.sqrt(29) * np.std(without, axis=0)[:15])


def test_the_band_between_the_budgets_where_it_is_computed_is_that_of_these(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = trials(200)["lucky"]
    low, _, high = expected_best_band(losses)[:, :100]
    monkeypatch.setattr(budgets, "BAND_BUDGETS", 100)
    lowest, _, highest = expected_best_band(losses)[:, :100]
    assert high - low == pytest.approx(highest - lowest, rel=0.05)
    assert not np.array_equal(high, highest)


def test_the_band_of_one_trial_is_about_that_of_a_mean() -> None:
    losses = trials(100)["steady"]
    low, _, high = expected_best_band(losses)[:, 0]
    assert high - low == pytest.approx(2 * 1.984 * np.std(losses, ddof=1) / 10, rel=0.1)


@pytest.mark.parametrize("losses", [trials(24)["steady"], [52.9] * 30])
def test_few_trials_or_equal_ones_carry_no_band(losses: list[float]) -> None:
    band = expected_best_band(losses)
    assert np.isfinite(band[1]).all()
    assert np.isnan(band[[0, 2]]).all()


def test_the_leader_changes_from_the_steady_to_the_lucky_method_as_the_budget_grows() -> None:
    values = trials(100)
    first, second = leader_changes(values)
    best = {method: expected_best(losses) for method, losses in values.items()}
    assert (first.n, first.leader, second.leader) == (1, "steady", "lucky")
    assert best["steady"][second.n - 2] < best["lucky"][second.n - 2]
    assert best["lucky"][second.n - 1] < best["steady"][second.n - 1]


def test_a_leader_is_surer_where_it_leads_by_more() -> None:
    spread = np.random.default_rng(2).normal(0, 0.5, 100)
    probabilities = [
        leader_changes({"ahead": spread.tolist(), "behind": (spread[::-1] + lead).tolist()})[0].probability
        for lead in (0.01, 0.1, 1.0)
    ]
    assert 0.4 < probabilities[0] < 0.7 < probabilities[1] < probabilities[2] == 1.0


def test_eight_methods_of_a_hundred_trials_take_seconds() -> None:
    values = {str(place): np.random.default_rng(place).lognormal(size=100).tolist() for place in range(8)}
    started = time.process_time()
    probability_best(values)
    assert time.process_time() - started < 4
