"""Ranks against Demsar's worked example, tests against scipy and enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vaestudy.analysis.statistics.ranks import (
    FriedmanTest,
    PairedTest,
    Refusal,
    friedman,
    holm,
    signed_rank,
    units_needed,
    wilcoxon_holm,
)

METHODS = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
# Demsar 2006, table 6: the AUC of four classifiers on 14 data sets. On voting the paper ranks the third before the
# fourth though three digits show a tie, hence its fourth digit.
AUC = [
    (0.763, 0.768, 0.771, 0.798),
    (0.599, 0.591, 0.590, 0.569),
    (0.954, 0.971, 0.968, 0.967),
    (0.628, 0.661, 0.654, 0.657),
    (0.882, 0.888, 0.886, 0.898),
    (0.936, 0.931, 0.916, 0.931),
    (0.661, 0.668, 0.609, 0.685),
    (0.583, 0.583, 0.563, 0.625),
    (0.775, 0.838, 0.866, 0.875),
    (1.000, 1.000, 1.000, 1.000),
    (0.940, 0.962, 0.965, 0.962),
    (0.619, 0.666, 0.614, 0.669),
    (0.972, 0.981, 0.9751, 0.975),
    (0.957, 0.978, 0.946, 0.970),
]
LOSSES = [{method: 1 - auc for method, auc in zip(METHODS, row, strict=True)} for row in AUC]


def ranked(scores: list[dict[str, float]]) -> FriedmanTest:
    found = friedman(scores)
    assert isinstance(found, FriedmanTest)
    return found


def test_demsar_s_example_has_the_ranks_and_statistics_of_the_paper() -> None:
    found = ranked(LOSSES)
    assert list(found.ranks.values()) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    ties = 1 - (60 + 6 + 6 + 6) / (
        14 * 60
    )  # four tie on one data set, two on three others: sum of t^3 - t over N (k^3 - k)
    assert found.statistic * ties == pytest.approx(9.28, abs=0.005)
    assert found.f == pytest.approx(13 * found.statistic / (14 * 3 - found.statistic))
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert found.p < 0.05  # the paper: the critical value F(3, 39) at 5 % is 2.85


@pytest.mark.parametrize(
    ("methods", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_critical_differences_use_the_published_values_of_nemenyi(methods: int, q: float) -> None:
    scores = [{str(method): float(method) for method in range(methods)}] * 7
    expected = q * math.sqrt(methods * (methods + 1) / (6 * 7))
    assert ranked(scores).critical_difference == pytest.approx(expected, rel=5e-4)


@given(st.integers(0, 10_000), st.integers(6, 12), st.integers(3, 6), st.integers(2, 50))
def test_the_statistic_is_scipy_s_with_ties_and_without(seed: int, workloads: int, methods: int, values: int) -> None:
    table = np.random.default_rng(seed).integers(0, values, size=(workloads, methods)).astype(float)
    table[0] = np.arange(methods)  # methods that tie everywhere leave scipy without a number
    found = ranked([dict(zip("abcdef", row, strict=False)) for row in table.tolist()])
    expected = stats.friedmanchisquare(*table.T)
    assert found.statistic == pytest.approx(expected.statistic)
    left = workloads * (methods - 1) - found.statistic
    assert found.f == pytest.approx((workloads - 1) * found.statistic / left if left > 1e-9 else math.inf)
    assert found.p == pytest.approx(stats.f.sf(found.f, methods - 1, (methods - 1) * (workloads - 1)))
    assert list(found.ranks.values()) == pytest.approx(np.mean([stats.rankdata(row) for row in table], axis=0))


def test_methods_that_tie_everywhere_do_not_differ() -> None:
    found = ranked([{"adam": 1.0, "sgd": 1.0, "ivon": 1.0}] * 6)
    assert (found.statistic, found.f, found.p) == (0.0, 0.0, 1.0)
    assert set(found.ranks.values()) == {2.0}


def test_methods_that_rank_alike_everywhere_leave_no_doubt() -> None:
    found = ranked([{"adam": 1.0, "sgd": 2.0}] * 6)
    assert (found.ranks, found.f, found.p) == ({"adam": 1.0, "sgd": 2.0}, math.inf, 0.0)
    assert found.statistic == pytest.approx(6.0)


def test_five_workloads_are_too_few_and_the_refusal_says_so() -> None:
    found = friedman(LOSSES[:5])
    assert isinstance(found, Refusal)
    assert found.reason == "ranks need at least 6 workloads and 2 methods: here are 5 and 4"


def test_no_workloads_are_too_few() -> None:
    assert isinstance(friedman([]), Refusal)


def test_a_workload_that_lacks_a_method_is_named() -> None:
    with pytest.raises(ValueError, match=r"workload 1 has \['adam'\]"):
        friedman([{"adam": 1.0, "sgd": 2.0}, {"adam": 1.0}])


def pairwise(scores: dict[str, dict[int, float]]) -> list[PairedTest]:
    found = wilcoxon_holm(scores)
    assert not isinstance(found, Refusal)
    return found


def by_enumeration(differences: list[float]) -> float:
    """Two-sided p of the signed-rank sum over all 2^n signs of the differences that are not 0."""
    moved = np.array([value for value in differences if value])
    ranks = stats.rankdata(np.abs(moved))
    sums = np.array([np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=len(ranks))])
    observed = ranks[moved > 0].sum()
    return min(1.0, 2 * min(np.mean(sums <= observed), np.mean(sums >= observed)))


@settings(max_examples=40)
@given(st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=7))
def test_the_signed_rank_test_is_exact_with_ties_and_without(differences: list[float]) -> None:
    assert signed_rank(differences) == pytest.approx(by_enumeration(differences))


def test_without_a_difference_there_is_no_p() -> None:
    assert math.isnan(signed_rank([]))


def test_tests_are_paired_by_seed() -> None:
    ours, theirs = np.random.default_rng(8).normal([[0.4], [0.0]], 1.0, size=(2, 8))
    backwards = dict(reversed(list(enumerate(theirs.tolist()))))
    (found,) = pairwise({"adam": dict(enumerate(ours.tolist())), "sgd": backwards | {99: 5.0}})
    assert (found.first, found.second, found.n) == ("adam", "sgd", 8)
    assert found.p == pytest.approx(by_enumeration((ours - theirs).tolist()))
    assert found.adjusted == found.p


def test_holm_s_steps_are_those_of_a_worked_example() -> None:
    # 0.01 x 4, 0.015 x 3, 0.02 x 2 and 0.04 x 1, none below its forerunner
    assert holm([0.02, 0.01, 0.04, 0.015]) == pytest.approx([0.045, 0.04, 0.045, 0.045])


def test_a_pair_without_common_seeds_has_no_p_and_leaves_the_others_theirs() -> None:
    eight = {seed: float(seed) for seed in range(8)}
    pairs = pairwise({"a": eight, "b": {seed: 2 * value + 1 for seed, value in eight.items()}, "c": {70: 1.0}})
    assert [pair.n for pair in pairs] == [8, 0, 0]
    assert pairs[0].adjusted == 3 * pairs[0].p == pytest.approx(6 / 2**8)
    assert math.isnan(pairs[1].p) and math.isnan(pairs[1].adjusted)
    assert pairs[1].verdict == "undecidable: 0 in common cannot give an adjusted p below 1"


def test_equal_runs_do_not_differ() -> None:
    same = dict.fromkeys(range(10), 52.9)
    (found,) = pairwise({"a": same, "b": same})
    assert (found.p, found.verdict) == (1.0, "no difference found")


@pytest.mark.parametrize(("pairs", "needed"), [(1, 6), (2, 7), (3, 7), (4, 8), (6, 8), (10, 9), (21, 10)])
def test_the_units_needed_are_the_fewest_whose_smallest_p_passes_the_correction(pairs: int, needed: int) -> None:
    assert units_needed(pairs) == needed
    assert pairs * 2 / 2**needed < 0.05 <= pairs * 2 / 2 ** (needed - 1)


def agreeing(methods: int, seeds: int) -> dict[str, dict[int, float]]:
    """Losses that rise from method to method in every seed."""
    return {f"m{place}": {seed: 10.0 * place + 0.1 * place * seed for seed in range(seeds)} for place in range(methods)}


@pytest.mark.parametrize(
    ("methods", "seeds", "reason"),
    [
        (2, 5, "5 seeds cannot give an adjusted p below 0.0625; at 1 pair it takes 6 seeds"),
        (4, 6, "6 seeds cannot give an adjusted p below 0.188; at 6 pairs it takes 8 seeds"),
        (2, 0, "0 seeds cannot give an adjusted p below 1; at 1 pair it takes 6 seeds"),
    ],
)
def test_where_no_seeds_can_decide_the_tests_are_refused_with_the_seeds_that_it_takes(
    methods: int, seeds: int, reason: str
) -> None:
    assert wilcoxon_holm(agreeing(methods, seeds)) == Refusal(reason)


@pytest.mark.parametrize(("methods", "seeds"), [(2, 6), (4, 8), (5, 10)])
def test_seeds_enough_that_all_agree_decide(methods: int, seeds: int) -> None:
    pairs = pairwise(agreeing(methods, seeds))
    assert {pair.verdict for pair in pairs} == {"differ"}
    assert min(pair.adjusted for pair in pairs) == pytest.approx(len(pairs) * 2 / 2**seeds) == pairs[0].smallest


def test_one_method_has_no_pairs() -> None:
    assert wilcoxon_holm({"adam": {0: 1.0}}) == []


def test_a_pair_with_too_few_seeds_is_undecidable_beside_one_that_has_enough() -> None:
    scores = agreeing(3, 10)
    scores["m2"] = {seed: scores["m2"][seed] for seed in range(6)}
    assert [pair.verdict for pair in pairwise(scores)] == [
        "differ",
        *["undecidable: 6 in common cannot give an adjusted p below 0.0938"] * 2,
    ]
