"""What MLflow is told of a run."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.tracking import synthetic
from vaestudy.records import End, Outcome, Report, RunRecord, Stage
from vaestudy.tracking import note, rows, views


def record(*reports: Report, end: End | None = None, **changes: Any) -> RunRecord:
    return RunRecord(replace(synthetic.run("adam", 0), **changes), 1, synthetic.BEGAN, reports, end)


def test_curves_begin_after_the_first_epoch() -> None:
    plan = synthetic.run("adam", 0)
    given = record(synthetic.report(plan, 0), synthetic.report(plan, 1))
    assert {row.step for row in rows.curve_rows(given, -1)} == {1}


def test_what_is_not_finite_is_left_out() -> None:
    given = record(Report(24, 1, 0.0, {"val/nelbo": math.inf, "val/kl": math.nan, "train/loss": 1.0}))
    assert {row.key for row in rows.curve_rows(given, -1)} == {"train/loss", rows.PROGRESS}


def test_a_summary_lies_at_step_0_in_four_decimals_with_the_rates_of_the_dimensions() -> None:
    plan = synthetic.run("adam", 0)
    end = End("done", 24, 1.0, metrics={"final/val_nelbo": 21.123456})
    found = {row.key: (row.value, row.step) for row in rows.summary_rows(record(synthetic.report(plan, 1), end=end))}
    assert found["final/val_nelbo"] == (21.1235, 0)
    assert found["kl_dim/00"] == (3.0, 0)


def test_a_value_too_long_for_mlflow_is_cut_with_a_note() -> None:
    run = replace(synthetic.run("adam", 0), settings={"long": "x" * 7000})
    text = rows.params(synthetic.study(), run)["long"]
    assert len(text) == rows.PARAM_CHARACTERS
    assert text.endswith("(cut; whole in run.json)")


def done(trial: int, value: float, outcome: Outcome = "done") -> RunRecord:
    return record(end=End(outcome, 1, 1.0, metrics={"final/val_nelbo": value}), uid=f"u{trial}", trial=trial)


def test_the_least_validation_nelbo_wins_and_of_equals_the_earlier() -> None:
    records = [done(0, 3.0), done(1, 2.0), done(2, 2.0), done(3, 1.0, "pruned")]
    assert rows.best(synthetic.study(), records) == {"u1"}


def test_the_confirmation_runs_of_the_winner_are_best_too() -> None:
    records = [done(0, 3.0), done(1, 2.0)]
    records += [record(uid=f"c{trial}", stage="confirm", trial=trial) for trial in (0, 1)]
    assert rows.best(synthetic.study(), records) == {"u1", "c1"}


def test_a_trial_beyond_the_largest_budget_does_not_win() -> None:
    study = synthetic.study(confirm={"seeds": 1, "budgets": [1, 2]})
    assert rows.best(study, [done(0, 3.0), done(1, 2.0), done(2, 1.0)]) == {"u1"}


@pytest.mark.parametrize("stage", ["target", "sources"])
def test_a_rerun_for_another_purpose_is_neither_trial_nor_confirmation(stage: Stage) -> None:
    other = replace(done(1, 0.5), run=replace(done(1, 0.5).run, uid="other", stage=stage))
    assert rows.best(synthetic.study(), [done(1, 2.0), other]) == {"u1"}
    assert rows.final_nelbo(synthetic.study(), [other]) == {}


def test_a_failed_run_is_in_a_group_of_its_own() -> None:
    ends = [End("done", 1, 1.0, failure=failure) for failure in ("none", "collapsed")]
    assert [rows.tags(record(end=end))["group"] for end in ends] == ["adam", "adam (collapsed)"]


def test_a_stage_of_no_share_was_searched_all_the_same() -> None:
    study = synthetic.study(
        train={"epochs": 20, "stages": [{"name": "first", "share": 0.1}, {"name": "second"}]},
        shared_search={"train.stages.first.share": {"choice": [0.0, 0.2]}},
    )
    assert rows.params(study, synthetic.run("adam", 0))["stages.first.share"] == "0"


def test_each_workload_has_views_of_its_own() -> None:
    study = synthetic.study()
    two = study.model_copy(update={"workloads": dict.fromkeys(("a", "b"), study.workloads["digits-mlp"])})
    keys = {key.removeprefix(views.PREFIX) for key in views.tags(two, views.Known())}
    assert keys == {f"{view}-{workload}" for view in views.titles(study) for workload in "ab"}


def test_views_of_a_model_with_many_dimensions_fit_into_a_tag() -> None:
    metrics = [f"kl_dim/{index:02d}" for index in range(64)] + [f"final/m{index}" for index in range(20)]
    known = views.Known(frozenset(metrics), {"digits-mlp": [21.0, 22.0]}, decided=True)
    assert len(views.tags(synthetic.study(), known)) == 5


def test_the_note_has_the_question_in_its_first_line() -> None:
    study = synthetic.study(description="Which one\n  is best?")
    assert note.note(study, (), "1").startswith("**Which one is best?**\n\n")


def test_the_note_has_the_answer_of_the_largest_budget_in_its_first_line() -> None:
    text = note.note(synthetic.study(), (), "1", ["at 4: cannot tell.", "at 8: adam is ahead."])
    assert text.splitlines()[0].endswith("?** at 8: adam is ahead.")
    assert "\n- at 4: cannot tell.\n" in text


def test_the_notes_means_leave_out_what_failed() -> None:
    collapsed = End("done", 1, 1.0, failure="collapsed", metrics={"final/test_nelbo": 52.9})
    sound = replace(collapsed, failure="none", metrics={"final/test_nelbo": 28.8})
    records = [done(0, 3.0), *(record(uid=f"c{end.failure}", stage="confirm", end=end) for end in (collapsed, sound))]
    assert "| adam | 28.80 | 1 |" in note.note(synthetic.study(), records, "1")


def test_the_notes_table_leaves_out_confirmed_trials_that_did_not_win() -> None:
    records = [done(0, 3.0), done(1, 2.0)]
    for trial, value in enumerate((30.0, 20.0)):
        end = End("done", 1, 1.0, metrics={"final/test_nelbo": value})
        records.append(record(uid=f"c{trial}", stage="confirm", trial=trial, end=end))
    assert "| adam | 20.00 | 1 |" in note.note(synthetic.study(), records, "1")


@pytest.mark.parametrize(
    ("told", "shown"), [(10.0, 10.0), (3610.0, 60.0), (-3590.0, 0.0)], ids=["right", "fast", "slow"]
)
def test_a_run_ends_after_its_start_and_before_now_whatever_its_worker_says(told: float, shown: float) -> None:
    now = synthetic.BEGAN + 60.0
    given = record(end=End("done", 24, synthetic.BEGAN + told))
    assert rows.ended(given, now) == rows.milliseconds(synthetic.BEGAN + shown)
