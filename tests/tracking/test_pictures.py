"""What confirmed models draw, on sheets for MLflow's image grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tracking import synthetic
from vaestudy.outputs import KINDS
from vaestudy.records import RunRecord, read_run
from vaestudy.tracking.pictures import pictures


@pytest.fixture
def confirmed(tmp_path: Path) -> tuple[RunRecord, Path]:
    """A confirmed run and its attempt's folder."""
    plan = synthetic.run("adam", 2, seed=1)
    synthetic.write(tmp_path, plan, 2)
    return read_run(tmp_path, plan.uid), synthetic.draw(tmp_path, plan)


def test_every_kind_has_as_many_sheets_as_the_originals(confirmed: tuple[RunRecord, Path]) -> None:
    found = [(picture.key, picture.step) for picture in pictures(*confirmed)]
    assert found == [(kind, sheet) for kind in KINDS for sheet in (1, 2)]


def test_ink_is_dark_and_paper_is_white(confirmed: tuple[RunRecord, Path]) -> None:
    sheets = {picture.key: picture.pixels for picture in pictures(*confirmed)}
    scale = sheets["originals"].shape[1] // (3 * (synthetic.SIDE + 1))
    first = sheets["originals"][scale:, scale:][: synthetic.SIDE * scale, : synthetic.SIDE * scale]
    assert set(np.unique(first)) == {0, 255}


def test_a_picture_made_twice_has_one_name(confirmed: tuple[RunRecord, Path]) -> None:
    names = [picture.uid for picture in pictures(*confirmed)]
    assert names == [picture.uid for picture in pictures(*confirmed)]
    assert len(set(names)) == len(names)


def test_a_run_that_drew_nothing_has_no_picture(tmp_path: Path) -> None:
    plan = synthetic.run("adam", 0)
    synthetic.write(tmp_path, plan, 2)
    assert pictures(read_run(tmp_path, plan.uid), tmp_path) == []
