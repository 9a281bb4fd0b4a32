"""A run that is left and taken up again anywhere ends in the bits of one that nobody left."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.chaos.ledger import Ledger
from tests.tasks import random_task, settings
from vaestudy import checkpoint
from vaestudy.population import Task
from vaestudy.seeding import Seeds
from vaestudy.spec import Settings
from vaestudy.trainer import Trainer

NATIVE = ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "ivon")
EPOCHS = 3
MID_EPOCH = (1, 2, 7, 9, 16)
"""Updates, none at an epoch's end (6, 12, 18)."""
IDENTITY = {"uid": "run", "study": "hash"}
TRAIN: dict[str, Any] = {
    "beta": {"schedule": "cosine", "start": 0.0, "over": 0.5},
    "free_bits": {"nats": 0.1},
    "ema": 0.9,
    "clip_norm": 5.0,
}


def begin(task: Task, chosen: Settings, members: int, saved: dict[str, Any] | None = None) -> Trainer:
    """The run among others under other seeds, in the last row."""
    trainer = Trainer(task, chosen.optimizer, 0)
    for k in range(members - 1):
        trainer.admit(f"other {k}", Seeds.same(100 + k), chosen)
    trainer.admit("run", Seeds.same(1), chosen, saved)
    return trainer


def to_end(trainer: Trainer) -> str:
    """The SHA-256 of the run's state after its last update, clocks left out."""
    while next(p for p in trainer.run() if p.uid == "run").outcome is None:
        for item in trainer.run():
            if item.outcome and item.uid != "run":
                trainer.evict(item.uid)
    state = trainer.state_dict("run")
    reports = [(r["step"], {k: v for k, v in r["metrics"].items() if k != "time/seconds"}) for r in state["history"]]
    buffer = io.BytesIO()
    torch.save({"row": state["row"], "reports": repr(reports)}, buffer)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


@pytest.mark.parametrize("members", [1, 8])
@pytest.mark.bar("R7", "a run left after every epoch and at 5 points between, with every native optimizer")
def test_r7_a_resumed_run_ends_in_the_same_bits(ledger: Ledger, tmp_path: Path, members: int) -> None:
    ledger.fault += f", {members} trained together"
    task = random_task()
    total = EPOCHS * task.steps_per_epoch
    points = sorted({*MID_EPOCH, *range(task.steps_per_epoch, total, task.steps_per_epoch)})
    other = []
    for optimizer in NATIVE:
        chosen = settings(optimizer, EPOCHS, TRAIN)
        undisturbed = to_end(begin(task, chosen, 1))
        for point in points:
            trainer = begin(task, chosen, members)
            while next(p for p in trainer.run(0.0) if p.uid == "run").step < point:
                pass
            run = tmp_path / f"{optimizer}-{point}"
            checkpoint.save(run / "attempt-1", point, trainer.state_dict("run"), IDENTITY)
            saved = checkpoint.load_latest(run, IDENTITY)
            assert saved is not None
            assert saved["row"]["steps"] == point
            if to_end(begin(task, chosen, members, saved)) != undisturbed:
                other.append((optimizer, point))
            ledger.met += 1
    ledger.figures["equal SHA-256"] = f"{ledger.met - len(other)} of {ledger.met}"
    assert not other
