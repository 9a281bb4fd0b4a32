"""The shipper on a SQLite store: every row once, whatever happens in between."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.tracking import synthetic
from tests.tracking.conftest import MakeShipper, Shelf, expected_rows, store_uri
from vaestudy.records import read_runs, run_uids


def client(results: Path) -> MlflowClient:
    return MlflowClient(store_uri(results))


def where(folder: Path) -> Any:
    return json.loads((folder / "shipped.json").read_text())


def test_every_row_of_the_spools_is_in_mlflow_once(tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf) -> None:
    synthetic.write_study(tmp_path, methods=("adam", "sgd"), trials=3, seeds=2, epochs=4)
    sent = make_shipper().ship()
    assert shelf.rows() == expected_rows(tmp_path)
    assert sent == shelf.rows().total() > 0


def test_a_second_pass_sends_nothing(tmp_path: Path, make_shipper: MakeShipper) -> None:
    synthetic.write(tmp_path, synthetic.run("adam", 0), 3)
    synthetic.write(tmp_path, synthetic.run("adam", 1), 2, outcome=None)
    shipper = make_shipper()
    shipper.ship()
    assert shipper.ship() == 0


def test_a_new_process_without_its_file_doubles_nothing(
    tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf
) -> None:
    synthetic.write(tmp_path, synthetic.run("adam", 0), 3)
    synthetic.write(tmp_path, synthetic.run("adam", 1), 2, outcome=None)
    make_shipper().ship()
    (tmp_path / "shipped.json").unlink()
    assert make_shipper().ship() == 0
    assert set(shelf.runs()) == {f"STUDY {shelf.study}", "adam #000", "adam #001"}
    assert shelf.rows() == expected_rows(tmp_path)


@pytest.mark.parametrize("killed", [False, True], ids=["same-shipper", "new-shipper"])
def test_a_second_attempt_adds_only_what_is_new(
    tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf, killed: bool
) -> None:
    plan = synthetic.run("adam", 0)
    synthetic.write(tmp_path, plan, 4, outcome=None)
    shipper = make_shipper()
    shipper.ship()
    first = shelf.rows()
    synthetic.write(tmp_path, plan, 2, outcome=None, attempt=2)
    shipper.ship()
    synthetic.write(tmp_path, plan, 6, attempt=3, delay=100.0, earlier=2)  # epochs 3 and 4 are measured again
    (make_shipper() if killed else shipper).ship()
    steps = [step for _, key, step, _, _ in shelf.rows() if key == "val/nelbo"]
    assert sorted(steps) == [1, 2, 3, 4, 5, 6]
    assert first <= shelf.rows()
    assert shelf.tags("adam #000")["attempt"] == "3"


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("done", "FINISHED"), ("pruned", "KILLED"), ("cancelled", "KILLED"), ("diverged", "FAILED"), ("failed", "FAILED")],
)
def test_an_outcome_has_a_status_and_a_tag(
    tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf, outcome: str, status: str
) -> None:
    synthetic.write(tmp_path, synthetic.run("adam", 0), 2, outcome)
    make_shipper().ship()
    assert shelf.runs()["adam #000"] == status
    assert shelf.tags("adam #000")["outcome"] == outcome


def test_a_failed_run_that_is_tried_again_is_running_again(
    tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf
) -> None:
    plan = synthetic.run("adam", 0)
    synthetic.write(tmp_path, plan, 2, "failed")
    shipper = make_shipper()
    shipper.ship()
    synthetic.write(tmp_path, plan, 3, outcome=None, attempt=2)
    shipper.ship()
    assert shelf.runs()["adam #000"] == "RUNNING"


def test_trials_are_children_of_the_study(tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf) -> None:
    synthetic.write(tmp_path, synthetic.run("adam", 2, seed=3), 2)
    make_shipper().ship()
    assert shelf.tags("adam #002 seed 3")["mlflow.parentRunId"] == where(tmp_path)["study_run"]


def test_a_run_carries_settings_data_and_figures(tmp_path: Path, make_shipper: MakeShipper, results: Path) -> None:
    plan = synthetic.run("adam", 0)
    synthetic.write(tmp_path, plan, 2)
    make_shipper().ship()
    run_id = where(tmp_path)["runs"][plan.uid]["run_id"]
    run = client(results).get_run(run_id)
    assert run.data.params == {
        "method": "adam",
        "workload": "digits-mlp",
        "optimizer": "adam",
        "seed": "0",
        "replicate": "1",
        "lr": "0.1",
        "log10_lr": "-1",
        "beta.over": "0",
    }
    assert run.inputs is not None
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["digits"]
    assert [file.path for file in client(results).list_artifacts(run_id, "figures")] == ["figures/curve.svg"]


def test_a_confirmed_run_has_an_entry_among_the_models(
    tmp_path: Path, make_shipper: MakeShipper, results: Path
) -> None:
    synthetic.write(tmp_path, synthetic.run("adam", 2, seed=1), 2)
    make_shipper().ship()
    make_shipper().ship()
    (model,) = client(results).search_logged_models([where(tmp_path)["experiment_id"]])
    assert model.name == "adam-002-seed-1"
    assert "final/test_nelbo" in {metric.key for metric in model.metrics or ()}


def test_a_confirmed_runs_pictures_lie_in_the_image_grid_once(
    tmp_path: Path, make_shipper: MakeShipper, results: Path
) -> None:
    plan = synthetic.run("adam", 2, seed=1)
    synthetic.write(tmp_path, plan, 2)
    synthetic.draw(tmp_path, plan)
    make_shipper().ship()
    run_id = where(tmp_path)["runs"][plan.uid]["run_id"]
    client(results).set_tag(run_id, "outcome", "running")  # as a shipper killed before the run's end leaves it
    make_shipper().ship()
    files = [file.path for file in client(results).list_artifacts(run_id, "images")]
    assert len(files) == 3 * 2 * 2  # kinds, sheets, and for each what is shown and what is opened
    assert client(results).get_run(run_id).data.tags["mlflow.loggedImages"] == "True"


def test_a_new_stage_rewrites_the_answer(tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf) -> None:
    answers = iter(["too early.", "adam is ahead."])
    shipper = make_shipper(answers=lambda folder: [next(answers)])
    synthetic.write(tmp_path, synthetic.run("adam", 2), 2)
    shipper.ship()
    before = shelf.tags(f"STUDY {shelf.study}")["mlflow.note.content"]
    synthetic.write(tmp_path, synthetic.run("adam", 2, seed=1), 2, outcome=None)
    shipper.ship()
    after = shelf.tags(f"STUDY {shelf.study}")["mlflow.note.content"]
    assert ("too early." in before, "too early." in after) == (False, True)
    assert "best" in shelf.tags("adam #002")


def test_finish_marks_winners_and_their_seeds(tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf) -> None:
    synthetic.write_study(tmp_path, methods=("adam", "sgd"), trials=4, seeds=1, epochs=2)
    make_shipper().finish()
    assert {name for name in shelf.runs() if "best" in shelf.tags(name)} == {
        "adam #002",
        "adam #002 seed 1",
        "sgd #002",
        "sgd #002 seed 1",
    }


def test_finish_leaves_nothing_running(tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf) -> None:
    synthetic.write(tmp_path, synthetic.run("adam", 0), 2)
    synthetic.write(tmp_path, synthetic.run("adam", 1), 2, outcome=None)
    make_shipper().finish()
    assert shelf.runs() == {f"STUDY {shelf.study}": "KILLED", "adam #000": "FINISHED", "adam #001": "KILLED"}
    assert shelf.tags("adam #001")["outcome"] == "interrupted"


def test_a_resumed_study_goes_on_in_the_same_runs(tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf) -> None:
    plan = synthetic.run("adam", 0)
    synthetic.write(tmp_path, plan, 2, outcome=None)
    make_shipper().finish()
    synthetic.write(tmp_path, plan, 4, attempt=2, delay=100.0, earlier=2)
    make_shipper().finish()
    assert shelf.runs() == {f"STUDY {shelf.study}": "FINISHED", "adam #000": "FINISHED"}
    assert shelf.rows() == expected_rows(tmp_path)


def test_finish_writes_question_answer_and_report(
    tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf, results: Path
) -> None:
    synthetic.write_study(tmp_path, methods=("adam", "sgd"), trials=4, seeds=2, epochs=2)
    make_shipper().finish()
    note = shelf.tags(f"STUDY {shelf.study}")["mlflow.note.content"]
    assert note.startswith("**Which optimizer reaches the best test ELBO?** digits-mlp, best of 6 trials: adam is")
    assert note.index("| adam | ") < note.index("| sgd | ")
    files = client(results).list_artifacts(where(tmp_path)["study_run"])
    assert [file.path for file in files] == ["report", "study.yaml"]


def test_a_run_deleted_in_mlflow_stays_deleted_and_holds_up_nobody(
    tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf, results: Path
) -> None:
    gone, kept = synthetic.run("adam", 0), synthetic.run("adam", 1)
    synthetic.write(tmp_path, gone, 2, outcome=None)
    make_shipper().ship()
    client(results).delete_run(where(tmp_path)["runs"][gone.uid]["run_id"])
    synthetic.write(tmp_path, gone, 3, attempt=2)
    synthetic.write(tmp_path, kept, 2)
    shipper = make_shipper()
    shipper.finish()
    assert shelf.runs() == {f"STUDY {shelf.study}": "FINISHED", "adam #001": "FINISHED"}
    assert shipper.problems == {gone.uid: "adam #000 was deleted in MLflow"}


def test_a_damaged_spool_holds_up_nobody(tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf) -> None:
    damaged, kept = synthetic.run("adam", 0), synthetic.run("adam", 1)
    synthetic.write(tmp_path, damaged, 2)
    synthetic.write(tmp_path, kept, 2)
    spool = tmp_path / "runs" / damaged.uid / "attempt-1" / "spool.jsonl"
    spool.write_bytes(b"x" + spool.read_bytes()[1:])
    shipper = make_shipper()
    shipper.finish()
    assert shelf.runs()["adam #001"] == "FINISHED"
    assert "damaged line" in shipper.problems[damaged.uid]


def test_of_two_runs_with_one_uid_the_older_stays(
    tmp_path: Path, make_shipper: MakeShipper, shelf: Shelf, results: Path
) -> None:
    plan = synthetic.run("adam", 0)
    synthetic.write(tmp_path, plan, 2, outcome=None)
    make_shipper().ship()
    experiment = where(tmp_path)["experiment_id"]
    client(results).create_run(experiment, tags={"uid": plan.uid}, run_name="adam #000")
    make_shipper().ship()
    assert len(shelf.runs()) == 2
    assert shelf.rows() == expected_rows(tmp_path)


def test_a_name_taken_by_another_study_gets_the_hash(
    tmp_path: Path, make_shipper: MakeShipper, results: Path, name: str
) -> None:
    client(results).create_experiment(name)
    synthetic.write(tmp_path, synthetic.run("adam", 0), 2)
    make_shipper().ship()
    experiment = client(results).get_experiment(where(tmp_path)["experiment_id"])
    assert experiment.name == f"{name}-{synthetic.STUDY_HASH[:8]}"


def test_every_run_has_a_place_in_the_file(tmp_path: Path, make_shipper: MakeShipper) -> None:
    synthetic.write_study(tmp_path, methods=("adam",), trials=3, seeds=1, epochs=2)
    make_shipper().ship()
    assert sorted(where(tmp_path)["runs"]) == run_uids(tmp_path)
    assert len(list(read_runs(tmp_path))) == 4


def test_a_shipper_does_not_import_mlflow_before_it_ships() -> None:
    code = "import sys, vaestudy.tracking; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
