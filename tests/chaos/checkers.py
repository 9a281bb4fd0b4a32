"""What must hold of a study after any fault: checkers of what is stored, none of which asks the program."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.launched import CLOCKS, values
from vaestudy.records import read_runs
from vaestudy.tracking.rows import curve_rows

Ask = Callable[[str], list[tuple[Any, ...]]]
"""Answers a question in SQL."""


def check_rows(study: Path, mlflow: Ask) -> int:
    """*Set*: every acknowledged row of the records is in MLflow's database exactly once; how many there are."""
    stored = mlflow(
        "select t.value, m.key, m.step, m.value from metrics m join tags t on t.run_uuid = m.run_uuid "
        "join runs r on r.run_uuid = m.run_uuid "
        "where t.key = 'uid' and m.step > 0 and r.lifecycle_stage = 'active'",
    )
    records = [(record.run.uid, row) for record in read_runs(study) for row in curve_rows(record, -1)]
    acknowledged = Counter((uid, row.key, row.step, row.value) for uid, row in records)
    assert Counter((uid, key, int(step), float(value)) for uid, key, step, value in stored) == acknowledged
    return sum(acknowledged.values())


def check_bijection(study: Path, mlflow: Ask, optuna: Ask | None) -> int:
    """*Bijection*: a run's uid, its record, its MLflow run and, in the search, its Optuna row; how many runs."""
    uids = [record.run.uid for record in read_runs(study)]
    tagged = mlflow(
        "select t.value from tags t join runs r on r.run_uuid = t.run_uuid where t.key = 'uid' "
        "and r.lifecycle_stage = 'active' and r.run_uuid not in "
        "(select run_uuid from tags where key = 'role' and value = 'study')",
    )
    assert Counter(uid for (uid,) in tagged) == Counter(uids)
    searched = Counter((r.run.cell, r.run.trial) for r in read_runs(study) if r.run.stage == "search")
    assert set(searched.values()) <= {1}
    if optuna:
        told = {state: int(count) for state, count in optuna("select state, count(*) from trials group by state")}
        assert told.get("COMPLETE", 0) + told.get("PRUNED", 0) == sum(searched.values()), told
    return len(uids)


def check_progress(study: Path) -> None:
    """*Monotone progress*: within a run the updates and epochs only grow, and every attempt but the last is older."""
    for record in read_runs(study):
        steps = [report.step for report in record.reports]
        assert steps == sorted(set(steps)), f"{record.run.name}: {steps}"


def check_curves(study: Path) -> None:
    """*Whole curves*: a run that was trained to its end has a report of every epoch, from before the first."""
    for record in read_runs(study):
        if record.end is not None and record.end.outcome == "done":
            epochs = [report.epoch for report in record.reports]
            assert epochs == list(range(int(record.end.metrics["final/epochs"]) + 1)), f"{record.run.name}: {epochs}"


def check_final_state(study: Path, mlflow: Ask, optuna: Ask | None) -> None:
    """*Final state*: nothing is RUNNING anywhere once a study says that it has ended."""
    assert [record.run.name for record in read_runs(study) if record.end is None] == []
    assert mlflow("select name from runs where status = 'RUNNING' and lifecycle_stage = 'active'") == []
    if optuna:
        assert optuna("select number from trials where state in ('RUNNING', 'WAITING')") == []


def check(study: Path, mlflow: Path | Ask, optuna: Ask | None = None) -> int:
    """All of them; the number of rows.

    Args:
        mlflow: MLflow's database, an SQLite file or whoever answers questions about it.
        optuna: the same of the trial database, where it is not in the study's folder.
    """
    asked = _sqlite(mlflow) if isinstance(mlflow, Path) else mlflow
    own = study / "optuna.db"
    trials = optuna or (_sqlite(own) if own.exists() else None)
    check_progress(study)
    check_curves(study)
    check_final_state(study, asked, trials)
    check_bijection(study, asked, trials)
    return check_rows(study, asked)


def check_same(study: Path, undisturbed: Path) -> int:
    """All checkers, of a study that ships to the database beside it, and the numbers of an undisturbed one; the number
    of rows."""
    check_numbers(study, undisturbed)
    return check(study, study.parent / "mlflow.db")


def check_numbers(study: Path, undisturbed: Path) -> None:
    """Every result and every report of every run is the same in both, clocks left out."""
    assert values(study) == values(undisturbed)
    assert history(study) == history(undisturbed)


def history(study: Path) -> dict[str, list[tuple[int, dict[str, float]]]]:
    """Every report of every run, clocks left out: equal for a disturbed study and an undisturbed one."""
    clocks = {*CLOCKS, "time/seconds"}
    return {
        record.run.uid: [
            (report.step, {name: value for name, value in report.metrics.items() if name not in clocks})
            for report in record.reports
        ]
        for record in read_runs(study)
    }


def _sqlite(database: Path) -> Ask:
    def ask(question: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            return connection.execute(question).fetchall()

    return ask
