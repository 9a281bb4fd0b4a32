"""How many rows MLflow lacks, as a study's driver counts them: what the next pass of a shipper will send."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.tracking import synthetic
from tests.tracking.conftest import MakeShipper, store_uri
from vaestudy.records import attempt_folder, read_runs
from vaestudy.tracking import Backlog


def told(folder: Path) -> tuple[list[str], list[str]]:
    """The uids of the runs that have ended, and of those that have not."""
    records = list(read_runs(folder))
    return [r.run.uid for r in records if r.end], [r.run.uid for r in records if not r.end]


def test_a_study_that_mlflow_has_not_seen_lacks_every_row(tmp_path: Path, make_shipper: MakeShipper) -> None:
    synthetic.write_study(tmp_path, methods=("adam", "sgd"), trials=3, seeds=2, epochs=4)
    synthetic.write(tmp_path, synthetic.run("ivon", 0), 3, outcome=None)
    backlog = Backlog(tmp_path)
    missing = backlog.rows(*told(tmp_path))
    assert make_shipper().ship() == missing > 0
    assert backlog.rows(*told(tmp_path)) == 0


def test_what_a_run_measures_and_how_it_ends_is_missing_until_it_is_sent(
    tmp_path: Path, make_shipper: MakeShipper
) -> None:
    plan, shipper, backlog = synthetic.run("adam", 0), make_shipper(), Backlog(tmp_path)
    synthetic.write(tmp_path, plan, 2, outcome=None)
    assert backlog.rows([], [plan.uid]) == shipper.ship()
    synthetic.write(tmp_path, plan, 3, outcome="done", attempt=2, earlier=2)
    missing = backlog.rows([plan.uid], [])
    assert missing == shipper.ship() > 0
    assert backlog.rows([plan.uid], []) == 0


def test_a_run_that_is_tried_again_after_its_end_was_sent_is_counted_again(
    tmp_path: Path, make_shipper: MakeShipper
) -> None:
    plan, shipper, backlog = synthetic.run("adam", 0), make_shipper(), Backlog(tmp_path)
    synthetic.write(tmp_path, plan, 2, "failed")
    shipper.ship()
    assert backlog.rows([plan.uid], []) == 0
    synthetic.write(tmp_path, plan, 3, outcome=None, attempt=2, earlier=2)
    assert backlog.rows([], [plan.uid]) == shipper.ship() > 0


@pytest.mark.parametrize("damaged", [True, False], ids=["damaged", "deleted in MLflow"])
def test_a_run_that_will_not_be_sent_is_not_missing(
    tmp_path: Path, make_shipper: MakeShipper, results: Path, damaged: bool
) -> None:
    plan, shipper, backlog = synthetic.run("adam", 0), make_shipper(), Backlog(tmp_path)
    synthetic.write(tmp_path, plan, 2, outcome=None)
    if damaged:
        (attempt_folder(tmp_path, plan.uid, 1) / "spool.jsonl").write_text("{\n{\n")
    else:
        shipper.ship()
        places = json.loads((tmp_path / "shipped.json").read_text())
        MlflowClient(store_uri(results)).delete_run(places["runs"][plan.uid]["run_id"])
        synthetic.write(tmp_path, plan, 3, outcome=None, attempt=2, earlier=2)
        synthetic.write(tmp_path, synthetic.run("adam", 1), 3)
        make_shipper().ship()
    assert backlog.rows([], [plan.uid]) == 0
