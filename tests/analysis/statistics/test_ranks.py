"""Ranks against Demsar's worked example, tests against scipy and enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vaestudy.analysis.statistics.ranks import FriedmanTest, Refusal, friedman, holm, wilcoxon_holm

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
    assert found.statistic == pytest.approx(9.28, abs=0.005)
    assert found.f == pytest.approx(3.69, abs=0.005)
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


@given(st.integers(0, 10_000), st.integers(6, 12), st.integers(3, 6))
def test_without_ties_the_statistic_is_scipy_s(seed: int, workloads: int, methods: int) -> None:
    table = np.random.default_rng(seed).normal(size=(workloads, methods))
    found = ranked([dict(zip("abcdef", row, strict=False)) for row in table.tolist()])
    assert found.statistic == pytest.approx(stats.friedmanchisquare(*table.T).statistic)


def test_methods_that_rank_alike_everywhere_leave_no_doubt() -> None:
    found = ranked([{"adam": 1.0, "sgd": 2.0}] * 6)
    assert (found.ranks, found.f, found.p) == ({"adam": 1.0, "sgd": 2.0}, math.inf, 0.0)


def test_five_workloads_are_too_few_and_the_refusal_says_so() -> None:
    found = friedman(LOSSES[:5])
    assert isinstance(found, Refusal)
    assert found.reason == "ranks need at least 6 workloads and 2 methods: here are 5 and 4"


def test_no_workloads_are_too_few() -> None:
    assert isinstance(friedman([]), Refusal)


def test_a_workload_that_lacks_a_method_is_named() -> None:
    with pytest.raises(ValueError, match=r"workload 1 has \['adam'\]"):
        friedman([{"adam": 1.0, "sgd": 2.0}, {"adam": 1.0}])


def by_enumeration(differences: np.ndarray) -> float:
    """Two-sided p of the signed-rank sum over all 2^n signs."""
    ranks = stats.rankdata(np.abs(differences))
    sums = np.array([np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=len(ranks))])
    observed = ranks[differences > 0].sum()
    return min(1.0, 2 * min(np.mean(sums <= observed), np.mean(sums >= observed)))


@pytest.mark.parametrize("seeds", [5, 8, 10])
def test_the_signed_rank_test_is_exact_and_paired_by_seed(seeds: int) -> None:
    ours, theirs = np.random.default_rng(seeds).normal([[0.4], [0.0]], 1.0, size=(2, seeds))
    backwards = dict(reversed(list(enumerate(theirs.tolist()))))
    (found,) = wilcoxon_holm({"adam": dict(enumerate(ours.tolist())), "sgd": backwards | {99: 5.0}})
    assert (found.first, found.second, found.n) == ("adam", "sgd", seeds)
    assert found.p == pytest.approx(by_enumeration(ours - theirs))
    assert found.adjusted == found.p


def test_holm_s_steps_are_those_of_a_worked_example() -> None:
    # 0.01 x 4, 0.015 x 3, 0.02 x 2 and 0.04 x 1, none below its forerunner
    assert holm([0.02, 0.01, 0.04, 0.015]) == pytest.approx([0.045, 0.04, 0.045, 0.045])


def test_a_pair_without_common_seeds_has_no_p_and_leaves_the_others_theirs() -> None:
    pairs = wilcoxon_holm({"a": {0: 1.0, 1: 2.0}, "b": {0: 2.0, 1: 3.5}, "c": {7: 1.0}})
    assert [pair.n for pair in pairs] == [2, 0, 0]
    assert pairs[0].adjusted == 1.0
    assert math.isnan(pairs[1].p) and math.isnan(pairs[1].adjusted)


def test_equal_runs_do_not_differ() -> None:
    same = dict.fromkeys(range(10), 52.9)
    (found,) = wilcoxon_holm({"a": same, "b": same})
    assert (found.p, found.verdict) == (1.0, "no difference found")


def test_five_seeds_cannot_decide_and_the_verdict_says_so() -> None:
    (found,) = wilcoxon_holm({"a": {s: s + 0.0 for s in range(5)}, "b": {s: 1.5 * s + 9.0 for s in range(5)}})
    assert found.p == found.smallest == 2 / 2**5
    assert found.verdict == "undecidable: 5 common seeds cannot give an adjusted p below 0.0625"


def test_ten_seeds_that_all_agree_decide_among_five_methods() -> None:
    scores = {f"m{place}": {seed: 10.0 * place + 0.1 * place * seed for seed in range(10)} for place in range(5)}
    pairs = wilcoxon_holm(scores)
    assert {pair.verdict for pair in pairs} == {"differ"}
    assert min(pair.adjusted for pair in pairs) == pytest.approx(10 * 2 / 2**10) == pairs[0].smallest
