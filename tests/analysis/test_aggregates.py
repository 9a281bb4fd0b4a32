"""One number a method over all workloads, worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scipy import stats

from tests.made_up import TRIVIAL, Builder, Made, falling, study
from vaestudy.analysis.aggregates import Aggregate, Aggregates, aggregates, utilities
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.statistics.ranks import FriedmanTest, Refusal
from vaestudy.analysis.targets import reaches, target

GOAL = 30.0
"""With the trivial loss at 50, a utility is (50 - L) / 20."""


def aggregated(records: Records) -> Aggregates:
    goals = [target(records, workload) for workload in records.study["workloads"]]
    return aggregates(records, goals, reaches(records, goals), "adam")


def reaching_at(evaluation: int) -> list[dict[str, float]]:
    return falling(*[70.0] * evaluation, *[29.0] * (6 - evaluation))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Two workloads: on the first sgd is twice as slow and fails three seeds of eight, on the second it is faster."""
    made = study(workloads=("u", "v"), seeds=8, target={"nats": {"u": GOAL, "v": GOAL}})
    builder = Builder(tmp_path_factory.mktemp("scored"), made)
    for workload, speeds in {"u": {"adam": 1, "sgd": 2}, "v": {"adam": 3, "sgd": 1}}.items():
        for method, evaluation in speeds.items():
            curve = reaching_at(evaluation)
            builder.search(method, [29.0], workload=workload)
            losses: list[float | None] = [28.0, 29.0, 30.0, 31.0, 32.0, 33.0, 34.0, 35.0]
            if (workload, method) == ("u", "sgd"):
                losses[5:] = [49.5, 60.0, None]
            builder.confirm(method, 0, [Made(loss, curve=curve) for loss in losses], workload=workload)
    return load(builder.folder)


@pytest.fixture(scope="module")
def by_method(scored: Records) -> dict[str, Aggregate]:
    return {one.method: one for one in aggregated(scored).methods}


def test_a_utility_is_0_at_the_constant_decoder_and_1_at_the_target(scored: Records) -> None:
    goals = [target(scored, "v")]
    assert utilities(scored, goals, "adam") == [pytest.approx([1.1, 1.05, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75])]


def test_runs_that_collapsed_or_diverged_have_no_utility_at_all(scored: Records) -> None:
    """The collapsed seed is 0.5 nats better than the constant decoder, the next one worse; the last has no loss."""
    (found,) = utilities(scored, [target(scored, "u")], "sgd")
    assert found[5:] == [0.0, 0.0, 0.0]


def test_the_interquartile_mean_is_that_of_the_middle_half_of_all_runs(by_method: dict[str, Aggregate]) -> None:
    """Of 16 runs: adam has each loss twice, so losses of 30 to 33; of sgd's three failed."""
    assert by_method["adam"].iqm.estimate == pytest.approx((1.0 + 0.95 + 0.9 + 0.85) / 4)
    middle = [1.0, 1.0, 0.95, 0.95, 0.9, 0.9, 0.85, 0.8]
    assert by_method["sgd"].iqm.estimate == pytest.approx(sum(middle) / 8)


def test_the_optimality_gap_is_the_mean_shortfall_from_the_target(by_method: dict[str, Aggregate]) -> None:
    well = [0.0, 0.0, 0.0, 0.05, 0.1, 0.15, 0.2, 0.25]
    assert by_method["adam"].gap.estimate == pytest.approx(sum(well) / 8)
    assert by_method["sgd"].gap.estimate == pytest.approx((sum(well) + sum(well[:5]) + 3.0) / 16)


def test_the_chance_to_beat_the_baseline_is_averaged_over_workloads(by_method: dict[str, Aggregate]) -> None:
    """On v both are alike: 1/2. On u each of sgd's first five beats as many as adam's, three beat none."""
    assert by_method["adam"].improvement is None
    chance = by_method["sgd"].improvement
    on_u = (7.5 + 6.5 + 5.5 + 4.5 + 3.5) / 64
    assert chance is not None and chance.estimate == pytest.approx((on_u + 0.5) / 2)
    assert chance.low < chance.estimate < chance.high


def test_a_profile_is_the_share_of_workloads_within_a_factor_of_the_fastest(by_method: dict[str, Aggregate]) -> None:
    """adam: ratios 1 and 3; sgd: 2 and 1."""
    assert (by_method["adam"].profile.ratios, by_method["adam"].profile.shares) == ((1.0, 3.0), (0.5, 1.0))
    assert by_method["sgd"].profile.area == pytest.approx((0.5 * 1 + 1.0 * 2) / 3)
    assert by_method["adam"].profile.area == pytest.approx((0.5 * 2 + 1.0 * 1) / 3)


def test_too_few_workloads_have_no_ranks_and_the_reason(scored: Records) -> None:
    ranks = aggregated(scored).ranks
    assert isinstance(ranks, Refusal) and "at least 6 workloads" in ranks.reason


def test_seeds_are_paired_with_failed_ones_as_bad_as_the_constant_decoder(scored: Records) -> None:
    """On u sgd's last three seeds count 50 instead of adam's 33, 34 and 35."""
    ((on_u,), (on_v,)) = aggregated(scored).pairs.values()
    assert (on_u.first, on_u.second, on_u.n, on_u.p) == (
        "sgd",
        "adam",
        8,
        stats.wilcoxon([0, 0, 0, 0, 0, 17, 16, 15]).pvalue,
    )
    assert (on_v.p, on_v.verdict) == (1.0, "no difference found")


def test_replicates_too_few_for_the_correction_are_said_to_be(tmp_path: Path) -> None:
    made = study(("sgd", "momentum", "adam"), seeds=1, search={"trials": 1, "replicates": 3})
    builder = Builder(tmp_path, made)
    for replicate in range(3):
        for place, method in enumerate(made.methods):
            builder.search(method, [28.0], replicate=replicate)
            builder.confirm(method, 0, [28.0 + place], replicate=replicate)
    (reason,) = aggregated(load(builder.folder)).untested
    assert reason.endswith("3 replicates cannot give an adjusted p below 0.75; at 3 pairs it takes 7 replicates.")


def test_without_a_usable_target_there_are_no_utilities_and_the_reason(small: Builder) -> None:
    small.search("adam", [28.0])
    small.confirm("adam", 0, [28.0] * 4)
    found = aggregated(load(small.folder))
    assert (found.methods, found.refused) == ((), "w: the study file declares no target")


SIX = tuple("abcdef")


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Six workloads; adam is ahead on five of them, sgd collapses on the sixth's every seed but one."""
    builder = Builder(tmp_path_factory.mktemp("six"), study(workloads=SIX, seeds=2))
    for workload in SIX:
        for method in ("sgd", "adam"):
            builder.search(method, [28.0], workload=workload)
    for index, workload in enumerate(SIX):
        builder.confirm("adam", 0, [30.0, 30.0], workload=workload)
        if index < 5:
            builder.confirm("sgd", 0, [31.0, 32.0] if index else [28.0, 29.0], workload=workload)
    return builder


def test_a_method_that_was_not_confirmed_everywhere_has_no_rank(six: Builder) -> None:
    ranks = aggregated(load(six.folder)).ranks
    assert isinstance(ranks, Refusal)
    assert ranks.reason == "ranks need every method on every workload: sgd not confirmed on f"


def test_failed_seeds_rank_as_the_constant_decoder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """sgd's mean of 20 and a collapse (50) is 35, behind adam's 30 on every workload."""
    builder = Builder(tmp_path_factory.mktemp("collapsed"), study(workloads=SIX, seeds=2))
    for workload in SIX:
        for method, losses in {"sgd": [20.0, TRIVIAL - 0.1], "adam": [30.0, 30.0]}.items():
            builder.search(method, [28.0], workload=workload)
            builder.confirm(method, 0, losses, workload=workload)
    ranks = aggregated(load(builder.folder)).ranks
    assert isinstance(ranks, FriedmanTest) and ranks.ranks == {"sgd": 2.0, "adam": 1.0}
    assert math.isinf(ranks.f)
