"""The quickstart study as a user runs it: real Ray, real Optuna, real MLflow; stopped and launched stage by stage."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from tests.launched import (
    METHODS,
    SEEDS,
    TARGETS,
    TRIALS,
    finished,
    launch,
    runs_of,
    until_recorded,
    vaestudy,
    values,
)

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A study that nobody disturbed: its folder, its standard output, its standard error."""
    results = tmp_path_factory.mktemp("undisturbed")
    out, err = finished(launch(results, "tracking.figures=true", "report.figures=true"))
    return results / "quickstart", out, err


def test_the_table_at_the_end_names_every_method(done: tuple[Path, str, str]) -> None:
    assert all(method in done[1] for method in METHODS)
    assert "nats" in done[1]


def test_nobody_elses_warnings_reach_the_user(done: tuple[Path, str, str]) -> None:
    text = done[1] + done[2]
    assert not [line for line in text.splitlines() if "arning" in line or "WARN" in line or "INFO" in line]


def test_every_planned_run_is_there_once_and_ended(done: tuple[Path, str, str]) -> None:
    records = runs_of(done[0]).values()
    counts = Counter((record.run.method, record.run.stage) for record in records)
    targets = sum(counts.pop((method, "target"), 0) for method in METHODS)
    assert targets == TARGETS
    each = (("search", TRIALS), ("confirm", SEEDS), ("sources", 3))
    assert counts == {(method, stage): n for method in METHODS for stage, n in each}
    assert all(record.end and record.end.outcome in ("done", "diverged") for record in records)


def test_only_confirmation_runs_have_seen_the_test_part(done: tuple[Path, str, str]) -> None:
    for record in runs_of(done[0]).values():
        assert record.end is not None
        seen = "final/test_nll" in record.end.metrics
        assert seen == (record.run.stage == "confirm" and record.end.outcome == "done")


def test_confirmation_uses_the_same_fresh_seeds_for_every_method(done: tuple[Path, str, str]) -> None:
    seeds = {
        m: {r.run.seed for r in runs_of(done[0]).values() if r.run.stage == "confirm" and r.run.method == m}
        for m in METHODS
    }
    assert all(found == set(range(1, SEEDS + 1)) for found in seeds.values())


def test_no_trial_is_left_running_in_the_database(done: tuple[Path, str, str]) -> None:
    with sqlite3.connect(done[0] / "optuna.db") as database:
        states = Counter(state for (state,) in database.execute("select state from trials"))
    assert set(states) <= {"COMPLETE", "PRUNED"}
    assert sum(states.values()) == TRIALS * len(METHODS)


def test_mlflow_has_a_study_run_and_a_child_for_every_run(done: tuple[Path, str, str]) -> None:
    with sqlite3.connect(done[0].parent / "mlflow.db") as database:
        names = [name for (name,) in database.execute("select name from runs where lifecycle_stage = 'active'")]
        doubled = database.execute(
            "select count(*) from (select run_uuid, key, step from metrics group by 1, 2, 3 having count(*) > 1)"
        ).fetchone()
    assert len(names) == len(set(names)) == 1 + len(METHODS) * (TRIALS + SEEDS + 3) + TARGETS
    assert "STUDY quickstart" in names
    assert doubled == (0,)


def test_every_evaluation_is_in_mlflow_once(done: tuple[Path, str, str]) -> None:
    judged = [
        report
        for record in runs_of(done[0]).values()
        for report in record.reports
        if report.epoch > 0 and "val/nelbo" in report.metrics
    ]
    with sqlite3.connect(done[0].parent / "mlflow.db") as database:
        (rows,) = database.execute("select count(*) from metrics where key = 'val/nelbo' and step > 0").fetchone()
    assert rows == len(judged)


def test_mlflow_has_the_curve_of_every_confirmed_run_as_a_picture(done: tuple[Path, str, str]) -> None:
    curves = list((done[0].parent / "mlartifacts").rglob("learning_curve.png"))
    confirmed = [record for record in runs_of(done[0]).values() if record.run.stage == "confirm"]
    assert len(curves) == len(confirmed) > 0


def test_the_tables_are_written_in_every_format(done: tuple[Path, str, str]) -> None:
    suffixes = {path.suffix for path in (done[0] / "report").iterdir()}
    assert {".csv", ".parquet", ".md", ".tex", ".html"} <= suffixes


def test_report_and_export_work_with_mlflow_gone(done: tuple[Path, str, str], tmp_path: Path) -> None:
    (done[0].parent / "mlflow.db").rename(tmp_path / "gone.db")
    try:
        out, _ = finished(vaestudy("report", "quickstart", results=done[0].parent))
    finally:
        (tmp_path / "gone.db").rename(done[0].parent / "mlflow.db")
    assert all(method in out for method in METHODS)


@pytest.mark.slow
def test_a_second_launch_of_a_running_study_is_refused_and_stop_saves_it(tmp_path: Path) -> None:
    first = launch(tmp_path, "train.epochs=2000")
    until_recorded(tmp_path / "quickstart", first, runs=1)
    _, err = finished(launch(tmp_path, "train.epochs=2000"), code=5)
    assert str(first.pid) in err
    finished(vaestudy("stop", "quickstart", results=tmp_path))
    _, err = finished(first, code=130)
    assert "resume" in err


@pytest.mark.slow
def test_stages_are_launched_one_by_one_and_extended(tmp_path: Path) -> None:
    few = [
        "search.trials=2",
        "search.replicates=1",
        "confirm.seeds=2",
        "confirm.sources=1",
        "target.seeds=1",
        "train.epochs=10",
    ]
    few += ["confirm.iwae_samples=5", "report.formats=[csv]"]

    def stages() -> Counter[str]:
        return Counter(record.run.stage for record in runs_of(tmp_path / "quickstart").values())

    _, err = finished(vaestudy("launch", "studies/quickstart.yaml", *few, "--stage", "confirm", results=tmp_path), 5)
    assert "run --stage search first" in err
    finished(vaestudy("launch", "studies/quickstart.yaml", *few, "--stage", "search", results=tmp_path))
    assert stages() == {"search": 8}
    assert all("final/test_nll" not in end for end in values(tmp_path / "quickstart").values())
    finished(vaestudy("resume", "quickstart", "--stage", "confirm", results=tmp_path))
    assert set(stages()) == {"search", "confirm"}
    finished(vaestudy("resume", "quickstart", "--add-trials", "1", "--add-seeds", "1", results=tmp_path))
    assert stages()["search"] == 12
    assert set(stages()) == {"search", "confirm", "sources", "target"}
    seeds = {r.run.seed for r in runs_of(tmp_path / "quickstart").values() if r.run.stage == "confirm"}
    assert seeds == {1, 2, 3}
