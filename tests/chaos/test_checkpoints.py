"""Damage to checkpoints is noticed, whatever it is; the one before is used."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import torch

from tests.chaos.ledger import Ledger
from tests.tasks import digits_task, settings
from vaestudy import checkpoint
from vaestudy.seeding import Seeds
from vaestudy.trainer import Trainer

IDENTITY = {"uid": "run", "study": "hash"}
FAULTS = 700
PAGE = 4096


def cut(content: bytearray, at: int) -> None:
    """A file that ends too early."""
    del content[at:]


def flip(content: bytearray, at: int) -> None:
    """One bit."""
    content[at] ^= 1 << at % 8


def zero(content: bytearray, at: int) -> None:
    """A page of zeros, as a disk leaves after a crash."""
    start = at // PAGE * PAGE
    content[start : start + PAGE] = bytes(len(content[start : start + PAGE]))


@pytest.mark.bar("R9", "a checkpoint's state or manifest cut, one bit flipped, or a page zeroed")
def test_r9_no_damaged_checkpoint_is_taken_for_sound(ledger: Ledger, tmp_path: Path) -> None:
    trainer = Trainer(digits_task(), "adam", 0)
    trainer.admit("run", Seeds.same(1), settings("adam", 3))
    states = []
    for _ in range(2):
        step = trainer.run()[0].step
        states.append(trainer.state_dict("run"))
        newest = checkpoint.save(tmp_path / "attempt-1", step, states[-1], IDENTITY)
    sound = tmp_path / "sound"
    shutil.copytree(newest, sound)
    draw = random.Random(9)
    wrong = unharmed = 0
    for fault in range(FAULTS):
        path = newest / ("manifest.json" if fault % 4 == 0 else "state.pt")
        content = bytearray((sound / path.name).read_bytes())
        before = bytes(content)
        (cut, flip, zero)[fault % 3](content, draw.randrange(len(content)))
        path.write_bytes(content)
        loaded = checkpoint.load_latest(tmp_path, IDENTITY)
        assert loaded is not None
        if bytes(content) == before:  # a page of zeros was one already
            unharmed += 1
        else:
            ledger.met += 1
            wrong += not torch.equal(loaded["row"]["params"], states[0]["row"]["params"])
        path.write_bytes(before)
    ledger.figures |= {"silently wrong": wrong, "previous one used": f"{ledger.met - wrong} of {ledger.met}"}
    assert wrong == 0
    assert ledger.met >= FAULTS - 10, unharmed
