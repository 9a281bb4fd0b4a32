"""What a run's settings say for each of its updates, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tasks import settings
from vaestudy.hyperparameters import Positive
from vaestudy.schedules import schedules
from vaestudy.timeline import Timeline

TOTAL = 101
RECONSTRUCT = {"name": "reconstruct", "share": 0.2, "beta": 0.0}
REGULARISE = {"name": "regularise"}
QUARTER = {"schedule": "linear", "start": 0.0, "end": 1.0, "over": 0.25}


def betas(stages: list[dict[str, Any]], beta: dict[str, Any], total: int = TOTAL) -> Tensor:
    chosen = settings("sgd", train={"stages": stages, "beta": beta})
    return Timeline(chosen, total).at(0, total).beta


def exact(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_ramp_takes_its_share_of_what_is_left_after_a_stage_that_sets_its_own_beta() -> None:
    found = betas([RECONSTRUCT, REGULARISE], QUARTER)  # 81 updates are left: progress goes in steps of 1/80
    assert found[:20].eq(0.0).all()
    torch.testing.assert_close(found[20:41], torch.arange(21, dtype=torch.float64) / 20, rtol=0, atol=1e-15)
    assert found[40:].eq(1.0).all()


def test_a_ramp_over_all_that_is_left_ends_at_the_last_update() -> None:
    found = betas([RECONSTRUCT, REGULARISE], {**QUARTER, "over": 1.0})
    assert found[20] == 0.0
    assert found[-2] < found[-1] == 1.0


def test_without_a_stage_that_sets_its_own_beta_the_ramp_takes_its_share_of_all_of_training() -> None:
    held = {"name": "hold", "share": 0.2, "freeze": "encoder"}
    assert torch.equal(betas([held, REGULARISE], QUARTER), betas([], QUARTER))
    assert betas([], QUARTER)[25] == 1.0


def test_the_schedule_starts_after_the_last_of_several_stages_that_set_their_own_beta() -> None:
    stages = [{"name": "a", "share": 0.1}, {"name": "b", "share": 0.2, "beta": 0.7}, {"name": "c", "share": 0.1}]
    found = betas([*stages, {"name": "d", "share": 0.1, "beta": 0.1}, REGULARISE], {**QUARTER, "start": 0.3})
    ends = [round(share * TOTAL) for share in (0.1, 0.3, 0.4, 0.5)]
    assert found[: ends[0]].eq(0.3).all()  # before the schedule has started, its first value
    assert found[ends[0] : ends[1]].eq(0.7).all()
    assert found[ends[1] : ends[2]].eq(0.3).all()
    assert found[ends[2] : ends[3]].eq(0.1).all()
    assert found[ends[3]] == 0.3
    assert found[-1] == 1.0


def test_the_final_stages_own_beta_leaves_the_ramp_before_it_where_it_was() -> None:
    found = betas([{"name": "ramp", "share": 0.5}, {"name": "rest", "beta": 0.4}], QUARTER)
    assert torch.equal(found[:50], betas([], QUARTER)[:50])
    assert found[50:].eq(0.4).all()


def test_cycles_are_those_of_what_is_left_after_a_stage_that_sets_its_own_beta() -> None:
    found = betas([RECONSTRUCT, REGULARISE], {**QUARTER, "schedule": "cyclical", "over": 0.5, "cycles": 2})
    assert found[[20, 60]].eq(0.0).all()
    torch.testing.assert_close(found[[30, 40, 70, 80]], exact([0.5, 1.0, 0.5, 1.0]), rtol=0, atol=1e-15)
    assert int((found.diff() < 0).sum()) == 1


@pytest.mark.parametrize("share", [0.0, 0.001])
def test_a_stage_without_an_update_neither_sets_beta_nor_moves_the_ramp(share: float) -> None:
    empty = {"name": "empty", "share": share, "beta": 9.0}
    first = {"name": "first", "share": 0.3}
    assert torch.equal(betas([empty, REGULARISE], QUARTER), betas([], QUARTER))
    assert torch.equal(betas([first, empty, REGULARISE], QUARTER), betas([], QUARTER))


def test_a_final_stage_without_share_leaves_the_rest_of_training_to_the_one_before() -> None:
    stages = [{"name": "a", "share": 0.5, "freeze": "encoder"}, {"name": "b", "share": 0.0}]
    assert Timeline(settings("sgd", train={"stages": stages}), TOTAL).at(0, TOTAL).frozen.eq(0).all()


@pytest.mark.parametrize(("start", "count"), [(0, 20), (13, 31), (20, 81), (100, 1)])
def test_a_stretch_of_updates_is_the_same_piece_of_the_whole(start: int, count: int) -> None:
    chosen = settings("sgd", train={"stages": [RECONSTRUCT, REGULARISE], "beta": QUARTER, "warmup": 0.1})
    whole, part = Timeline(chosen, TOTAL).at(0, TOTAL), Timeline(chosen, TOTAL).at(start, count)
    for name in ("lr", "beta", "frozen"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[start : start + count])


def test_a_first_stage_of_a_single_update_sets_beta_and_moves_the_ramp() -> None:
    found = betas([{"name": "one", "share": 0.2, "beta": 9.0}, REGULARISE], {**QUARTER, "over": 1.0}, total=6)
    assert found.tolist() == [9.0, 0.0, 0.25, 0.5, 0.75, 1.0]


def test_what_is_frozen_is_told_for_every_update_by_its_place_among_the_parts() -> None:
    stages = [{"name": "a", "share": 0.3, "freeze": "decoder"}, {"name": "b", "share": 0.2}]
    chosen = settings("sgd", train={"stages": [*stages, {"name": "c", "freeze": "encoder"}]})
    assert Timeline(chosen, 10).at(0, 10).frozen.tolist() == [1, 1, 1, -1, -1, 0, 0, 0, 0, 0]
    assert Timeline(settings("sgd"), 3).at(0, 3).frozen.tolist() == [-1, -1, -1]


def test_a_schedule_with_a_hyperparameter_of_its_own_keeps_that_ones_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def bent(progress: Tensor, *, over: Positive = 1.0, power: Positive = 2.0) -> Tensor:
        """A bent ramp."""
        return (progress / over).clamp(max=1.0) ** power

    monkeypatch.setattr(schedules, "entries", dict(schedules.entries))
    schedules.add("bent", bent, bent, None)
    found = betas([], {"schedule": "bent", "start": 0.0, "end": 1.0, "over": 0.5}, total=5)
    assert found.tolist() == [0.0, 0.25, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(("schedule", "expected"), [("constant", [0.2] * 5), ("linear", [0.2, 0.16, 0.12, 0.08, 0.04])])
def test_the_learning_rate_follows_its_schedule_and_a_constant_one_has_no_last_value(
    schedule: str, expected: list[float]
) -> None:
    chosen = settings("sgd", train={"schedule": schedule, "final_lr_ratio": 0.2}, lr=0.2)
    assert Timeline(chosen, 5).at(0, 5).lr.tolist() == pytest.approx(expected)
