"""The benchmarks run, and their contenders train the same thing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import scale
from benchmarks.cases import DIGITS
from benchmarks.steps import measure, table
from benchmarks.study_overhead import Size, Timing

SMALL = replace(DIGITS, hidden=32, latent_dim=4, examples=512, epochs=20)


@pytest.mark.slow
def test_the_trainer_and_the_plain_loop_make_the_same_progress() -> None:
    duel = measure(SMALL, "adam", rounds=2, with_pythae=False)
    assert duel.same_losses
    assert set(duel.rounds) == {"plain loop", "vaestudy K=1", "vaestudy K=8"}


@pytest.mark.slow
def test_the_table_tells_median_and_extremes_of_the_ratio() -> None:
    duel = measure(SMALL, "momentum", rounds=3, with_pythae=False)
    middle, low, high = duel.ratio("vaestudy K=1", "plain loop")
    assert low <= middle <= high
    assert f"{middle:.2f} ({low:.2f}–{high:.2f})" in table([duel])[-1]


def test_overhead_is_worker_time_over_training_time() -> None:
    timing = Timing(
        "study",
        Size(trials=4, epochs=1, workers=2),
        wall_seconds=11.0,
        train_seconds=20.0,
        to_first_trial_seconds=1.0,
        best=100.0,
    )
    assert timing.overhead == pytest.approx(0.1)


@pytest.mark.slow
def test_simulated_workers_run_every_trial_and_wait_for_the_driver_alone() -> None:
    load = scale.Load(workers=8, trials=40, epochs=3, epoch_seconds=60.0, tune_seconds=0.0)
    outcome = scale.measure(load)
    assert len(outcome.costs["report"]) == len(outcome.waits) == load.trials * load.epochs
    assert outcome.seconds > load.trials * load.epochs * load.epoch_seconds / load.workers
    assert 0 < outcome.busy < 1
    assert 0 <= outcome.idle < 1
