"""Collapse as an outcome: escapes, phases, fronts and good rates, worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.made_up import TRIVIAL, Builder, Made, arm, falling, study
from vaestudy.analysis.findings import findings
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.outcome_figures import outcome_figures
from vaestudy.analysis.outcomes import capped_losses, escape, fronts, last_fall, sensitivity
from vaestudy.analysis.statistics.fronts import Point
from vaestudy.analysis.statistics.intervals import rate_interval


def passing(*points: Point) -> Made:
    """A run through these rates and distortions, after a first evaluation before training."""
    measured = [{"val/kl": rate, "val/rec": rec, "val/nelbo": rate + rec} for rate, rec in ((99.0, 99.0), *points)]
    rate, distortion = points[-1]
    return Made(rate + distortion, metrics={"final/kl": rate, "final/rec": distortion}, curve=measured)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Of adam's trials some escape, one stays, one diverges, one is lost; sgd has rates and distortions."""
    builder = Builder(tmp_path_factory.mktemp("mixed"), study(trials=6))
    adam = [
        Made(28.0, {"lr": 0.1}, curve=falling(70.0, 60.0, 48.9, 28.0)),
        Made(30.0, {"lr": 0.01}, curve=falling(70.0, 49.0, 30.0)),  # 49.0 is the plateau's edge: 1 nat below trivial
        Made(49.9, {"lr": 0.001, "beta.schedule": "linear"}, curve=falling(70.0, 51.0, 50.0, 49.9)),
        Made(None, {"lr": 1.0, "beta.over": 0.5}, curve=falling(70.0)),
        Made(28.9, {"lr": 0.05, "beta.schedule": "constant"}, curve=falling(70.0, 70.0, 70.0, 28.9)),
        Made(None, {"lr": 0.5}),
    ]
    builder.search("adam", adam, {5: "failed"})
    builder.confirm("adam", 0, [passing((5.0, 40.0), (10.0, 30.0)), passing((5.0, 40.0), (10.0, 20.0))])
    builder.search("sgd", [passing((4.0, 44.0)), passing((0.0, 49.5)), Made(90.0)])
    builder.confirm("sgd", 0, [passing((5.0, 45.0), (4.0, 44.0)), passing((1000.0, 3000.0), (0.0, 50.0))])
    return load(builder.folder)


# --- escape -----------------------------------------------------------------------------------------------------------


def test_a_trial_has_escaped_when_it_is_1_nat_below_the_constant_decoder(mixed: Records) -> None:
    curve = escape(mixed, "w", "adam").curve
    assert curve.times.tolist() == [20.0, 40.0, 60.0]


def test_the_share_on_the_plateau_counts_collapsed_and_diverged_trials_to_the_end(mixed: Records) -> None:
    curve = escape(mixed, "w", "adam").curve
    assert curve.survival.tolist() == pytest.approx([4 / 5, 3 / 5, 2 / 5])
    assert curve.median.estimate == 60.0


def test_the_rate_of_escape_leaves_out_what_the_infrastructure_lost(mixed: Records) -> None:
    found = escape(mixed, "w", "adam").escaped
    assert (found.estimate, found.n) == (0.6, 5)
    assert (found.low, found.high) == pytest.approx((0.1466, 0.9473), abs=5e-5)


def test_of_several_searches_the_rate_of_escape_counts_searches(tmp_path: Path) -> None:
    """One of three searches ends on the plateau with all its trials: 4 of 6 trials, but 2 of 3 searches."""
    builder = Builder(tmp_path, study(("adam",), search={"trials": 2, "replicates": 3}))
    for replicate, loss in enumerate([28.0, 49.9, 28.0]):
        builder.search("adam", [Made(loss, curve=falling(70.0, loss))] * 2, replicate=replicate)
    found = escape(load(builder.folder), "w", "adam").escaped
    independent = rate_interval(4, 6)
    assert (found.estimate, found.n) == (4 / 6, 6)
    assert found.low < independent.low
    assert found.high > independent.high


def test_without_a_trial_nothing_has_escaped(small: Builder) -> None:
    found = escape(load(small.folder), "w", "adam")
    assert (found.escaped.n, len(found.curve.times)) == (0, 0)


# --- capped losses ----------------------------------------------------------------------------------------------------


def test_failed_trials_count_as_the_constant_decoder_and_lost_ones_not_at_all(mixed: Records) -> None:
    found = capped_losses(mixed, "w")
    assert found["adam"] == [28.0, 30.0, TRIVIAL, TRIVIAL, 28.9]
    assert found["sgd"] == [48.0, TRIVIAL, TRIVIAL]


def test_methods_without_an_ended_trial_have_no_losses(small: Builder) -> None:
    small.search("adam", [28.0, None], {1: "cancelled"})
    assert capped_losses(load(small.folder), "w") == {"adam": [28.0]}


# --- phases -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def phases(mixed: Records) -> dict[str, list[tuple[float, float]]]:
    """Of adam by failure class: learning rate and length of the ramp of each trial that ended, as drawn."""
    axes = outcome_figures(mixed, findings(mixed))["phases"].axes[1]
    assert axes.get_title(loc="left") + axes.get_title() == "w: adam"
    found = {str(points.get_label()): np.asarray(points.get_offsets()).tolist() for points in axes.collections}
    return {word: [(lr, over) for lr, over in points] for word, points in found.items()}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("sound", [(0.1, 0.25), (0.01, 0.25), (0.05, 0.0)]),  # a constant beta has no ramp
        ("collapsed", [(0.001, 0.25)]),
        ("diverged", [(1.0, 0.5)]),
    ],
)
def test_the_phase_diagram_shows_how_each_rate_and_ramp_ended(
    phases: dict[str, list[tuple[float, float]]], word: str, expected: list[tuple[float, float]]
) -> None:
    assert [lr for lr, _ in phases[word]] == [lr for lr, _ in expected]
    assert [over for _, over in phases[word]] == pytest.approx([over for _, over in expected], abs=0.013)  # shifted


# --- fronts -----------------------------------------------------------------------------------------------------------


def test_a_front_has_the_rates_and_distortions_of_the_trials_at_the_cap(mixed: Records) -> None:
    sgd, adam = fronts(mixed, "w")
    assert sgd.points == ((4.0, 44.0), (0.0, 49.5))
    assert len(adam.points) == 4  # without the diverged and the lost one


def test_the_reference_is_the_constant_decoder_at_the_highest_rate_that_improves_on_it(mixed: Records) -> None:
    """The seed that passed a rate of 1000 nats did not improve on it there."""
    assert {front.reference for front in fronts(mixed, "w")} == {(10.0, TRIVIAL)}


def test_the_hypervolume_is_what_a_seeds_path_dominates(mixed: Records) -> None:
    """adam: (5, 40) dominates 5 x 10 up to (10, 50), in both seeds; the ends at rate 10 add nothing.

    sgd: (4, 44) dominates 6 x 6, (5, 45) lies within; the seed at the constant decoder dominates nothing.
    """
    sgd, adam = (front.hypervolume for front in fronts(mixed, "w"))
    assert (adam.estimate, adam.n) == (50.0, 2)
    assert (sgd.estimate, sgd.n) == (18.0, 2)
    half = 12.706 * math.hypot(18.0, 18.0) / math.sqrt(2)  # Student's t of one degree of freedom
    assert (sgd.low, sgd.high) == pytest.approx((18 - half, 18 + half), rel=1e-3)


def test_without_confirmed_seeds_there_is_no_hypervolume(small: Builder) -> None:
    small.search("adam", [28.0])
    assert all(math.isnan(front.hypervolume.estimate) for front in fronts(load(small.folder), "w"))


# --- good learning rates ----------------------------------------------------------------------------------------------


def rated(tmp_path: Path, losses: Sequence[float | None], **searched: object) -> Records:
    builder = Builder(tmp_path, study({"adam": arm(**searched)}, trials=len(losses)))
    rates = np.geomspace(1e-4, 1.0, len(losses)).tolist()
    builder.search("adam", [Made(loss, {"lr": rate}) for loss, rate in zip(losses, rates, strict=True)])
    return load(builder.folder)


def test_the_good_region_is_the_share_of_trials_within_1_nat_of_the_best_in_decades(tmp_path: Path) -> None:
    found = sensitivity(rated(tmp_path, [30.0, 28.9, 28.0, 29.0, 29.1, None, 49.9, 40.0]), "w", "adam")
    assert found.region is not None
    assert (found.region.share.estimate, found.region.decades.estimate) == (3 / 8, pytest.approx(1.5))
    assert found.region.best_lr == pytest.approx(10 ** (-4 + 8 / 7))
    assert (found.losses[5], found.losses[6]) == (math.inf, 49.9)


@pytest.mark.parametrize(
    "lr",
    [
        {"uniform": [1e-4, 1.0]},
        {"choice": [1e-4, 1.0]},
        {"log": [1e-4, 1.0], "when": {"nesterov": True}},
    ],
)
def test_rates_that_are_not_all_drawn_log_uniformly_have_no_good_region(tmp_path: Path, lr: dict[str, object]) -> None:
    records = rated(tmp_path, [28.0, 29.0], lr=lr, nesterov={"choice": [True, False]})
    assert sensitivity(records, "w", "adam").region is None


def test_a_rate_that_is_searched_for_all_methods_alike_has_a_good_region(tmp_path: Path) -> None:
    shared = study({"adam": {"optimizer": "adam"}}, shared_search={"lr": {"log": [1e-3, 1.0]}})
    builder = Builder(tmp_path, shared)
    builder.search("adam", [28.0, 28.5, 40.0])
    region = sensitivity(load(builder.folder), "w", "adam").region
    assert region is not None and region.decades.estimate == pytest.approx(2.0)


def test_of_several_searches_each_has_its_own_good_region_and_the_method_their_mean(tmp_path: Path) -> None:
    """Good are 1 and 3 of 4 rates: shares of four decades. The second search's best is not the first's."""
    builder = Builder(tmp_path, study(("adam",), search={"trials": 4, "replicates": 2}))
    rates = np.geomspace(1e-4, 1.0, 4).tolist()
    for replicate, losses in enumerate([[30.0, 27.0, 40.0, None], [33.0, 32.5, 32.1, 40.0]]):
        made = [Made(loss, {"lr": rate}) for loss, rate in zip(losses, rates, strict=True)]
        builder.search("adam", made, replicate=replicate)
    found = sensitivity(load(builder.folder), "w", "adam")
    assert {r: region.decades.estimate for r, region in found.regions.items()} == pytest.approx({0: 1.0, 1: 3.0})
    assert found.region is not None
    assert (found.region.decades.estimate, found.region.decades.n) == (pytest.approx(2.0), 2)
    assert (found.region.share.estimate, found.region.best_lr) == (0.5, pytest.approx(10 ** (-4 + 4 / 3)))
    assert (found.region.share.low, found.region.share.high) == (0.0, 1.0)  # 0.5 +- 3.2


def test_the_interval_of_a_good_region_is_over_searches(tmp_path: Path) -> None:
    """Of 40 rates each 18, 20 and 22 are good; three searches know their share less well than 120 trials would."""
    builder = Builder(tmp_path, study(("adam",), search={"trials": 40, "replicates": 3}))
    for replicate, good in enumerate([18, 20, 22]):
        builder.search("adam", [28.0] * good + [40.0] * (40 - good), replicate=replicate)
    region = sensitivity(load(builder.folder), "w", "adam").region
    half = stats.t.ppf(0.975, (2 * 2 + 3) / 5) * stats.sem([0.45, 0.5, 0.55])
    assert region is not None
    assert (region.share.low, region.share.high) == pytest.approx((0.5 - half, 0.5 + half))


def test_a_good_region_that_is_alike_in_all_searches_is_no_surer_than_their_trials(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(("adam",), search={"trials": 4, "replicates": 3}))
    for replicate in range(3):
        builder.search("adam", [28.0, 28.5, 40.0, 40.0], replicate=replicate)
    region = sensitivity(load(builder.folder), "w", "adam").region
    trials = rate_interval(6, 12)
    assert region is not None
    assert (region.share.low, region.share.high) == (trials.low, trials.high)
    assert region.decades.high == pytest.approx(4 * trials.high)


def test_a_search_whose_every_trial_diverged_has_no_part_in_the_mean(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(("adam",), search={"trials": 2, "replicates": 2}))
    builder.search("adam", [28.0, 40.0], replicate=0)
    builder.search("adam", [None, None], replicate=1)
    assert list(sensitivity(load(builder.folder), "w", "adam").regions) == [0]


# --- the end of training ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "fall"),
    [
        ([70.0, *[30.0] * 8, 29.5, 29.1], 0.4),  # the last evaluation before the last tenth is the ninth
        ([70.0, *[30.0] * 9, 31.0], -1.0),
        ([70.0, 40.0, 30.0], 10.0),
        ([70.0, 30.0], 40.0),
    ],
)
def test_the_last_fall_is_from_the_last_evaluation_before_the_last_tenth(
    small: Builder, losses: list[float], fall: float
) -> None:
    small.search("adam", [Made(losses[-1], curve=falling(*losses)), Made(28.0, curve=falling(70.0, *[28.0] * 10))])
    records = load(small.folder)
    assert last_fall(records, records.runs[records.runs["trial"] == 0]) == pytest.approx(fall)
    assert last_fall(records, records.runs) == pytest.approx(fall / 2)


def test_without_a_run_nothing_falls(small: Builder) -> None:
    records = load(small.folder)
    assert math.isnan(last_fall(records, records.runs))
