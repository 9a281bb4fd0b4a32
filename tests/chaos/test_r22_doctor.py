"""R22: one sound study, damaged in many ways; the doctor names each, and repairs what can be repaired."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState, create_trial

from tests.chaos.checkers import check
from tests.chaos.ledger import Ledger
from tests.fixtures.postgres import Postgres, postgres
from tests.launched import finished, launch, vaestudy, values
from vaestudy import checkpoint
from vaestudy.cli import main
from vaestudy.records import attempt_folder, read_plan, run_uids
from vaestudy.search import open_storage
from vaestudy.spec import Study, study_hash
from vaestudy.study import doctor
from vaestudy.study.doctor.remains import examine_room
from vaestudy.study.folder import StudyFolder

__all__ = ["postgres"]

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that nobody disturbed; not to be changed."""
    results = tmp_path_factory.mktemp("sound")
    finished(launch(results, "confirm.seeds=1", "target.seeds=1"))
    return results / "quickstart"


@pytest.fixture
def study(sound: Path, tmp_path: Path) -> Path:
    """A copy of it, with its MLflow."""
    shutil.copytree(sound.parent, tmp_path / "results")
    return tmp_path / "results" / "quickstart"


def spool_of(study: Path, stage: str, nth: int = 0) -> Path:
    """The spool of a stage's nth run, by cell, trial and seed."""
    plans = [plan for plan in (read_plan(study, uid) for uid in run_uids(study)) if plan.stage == stage]
    plan = sorted(plans, key=lambda plan: (plan.cell, plan.trial, plan.seed, plan.varied))[nth]
    return attempt_folder(study, plan.uid, 1) / "spool.jsonl"


def line(event: dict[str, Any]) -> bytes:
    payload = json.dumps(event, separators=(",", ":")).encode()
    return b"%08x %s" % (zlib.crc32(payload), payload)


def rewrite_lines(spool: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    spool.write_bytes(b"".join(each + b"\n" for each in change(spool.read_bytes().splitlines())))


def flip_a_bit(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def in_mlflow(study: Path, *statements: str) -> None:
    _sql(study.parent / "mlflow.db", *statements)


def in_optuna(study: Path, *statements: str) -> None:
    _sql(study / "optuna.db", *statements)


def _sql(database: Path, *statements: str) -> None:
    with sqlite3.connect(database) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement


ONE_RUN = (
    "(select t.run_uuid from tags t join tags s on s.run_uuid = t.run_uuid where t.key = 'trial' and t.value = '001' "
    "and s.key = 'cell' and s.value = 'digits-mlp/adam' order by t.run_uuid limit 1)"
)


# --- what --repair repairs ------------------------------------------------------------------------------------------


def tear_after_the_end(study: Path) -> None:
    with spool_of(study, "search").open("ab") as file:
        file.write(b'0f0f0f0f {"kind":"rep')


def lose_a_plan(study: Path) -> None:
    (spool_of(study, "search").parents[1] / "run.json").unlink()


def lose_a_reruns_plan(study: Path) -> None:
    (spool_of(study, "sources").parents[1] / "run.json").unlink()


def damage_a_plan(study: Path) -> None:
    (spool_of(study, "confirm").parents[1] / "run.json").write_text("{")


def swap_plans(study: Path) -> None:
    first, second = (spool_of(study, "search", nth).parents[1] / "run.json" for nth in (0, 1))
    first.write_bytes(second.read_bytes())


def forget_an_end(study: Path) -> None:
    in_optuna(
        study, "update trials set state = 'RUNNING' where trial_id = 2", "delete from trial_values where trial_id = 2"
    )


def lose_rows_in_mid_run(study: Path) -> None:
    in_mlflow(study, f"delete from metrics where step in (5, 6) and key = 'val/kl' and run_uuid = {ONE_RUN}")


def double_a_row(study: Path) -> None:
    in_mlflow(
        study,
        "insert into metrics select key, value, timestamp + 1, run_uuid, step, is_nan from metrics "
        f"where step = 5 and key = 'val/kl' and run_uuid = {ONE_RUN}",
    )


def change_a_value(study: Path) -> None:
    in_mlflow(study, f"update metrics set value = 1.0 where step = 5 and key = 'val/kl' and run_uuid = {ONE_RUN}")


def leave_a_zombie(study: Path) -> None:
    in_mlflow(study, f"update runs set status = 'RUNNING' where run_uuid = {ONE_RUN}")


def leave_the_study_run_open(study: Path) -> None:
    in_mlflow(study, "update runs set status = 'RUNNING' where name = 'STUDY quickstart'")


def change_a_status(study: Path) -> None:
    in_mlflow(study, f"update runs set status = 'FAILED' where run_uuid = {ONE_RUN}")


def delete_a_run(study: Path) -> None:
    in_mlflow(study, f"update runs set lifecycle_stage = 'deleted' where run_uuid = {ONE_RUN}")


def double_a_run(study: Path) -> None:
    client = MlflowClient(f"sqlite:///{study.parent / 'mlflow.db'}")
    (experiment,) = [found for found in client.search_experiments() if found.name == "quickstart"]
    uid = spool_of(study, "search").parents[1].name
    client.create_run(experiment.experiment_id, tags={"uid": uid, "role": "trial"}, run_name="again")


def lose_mlflow(study: Path) -> None:
    (study.parent / "mlflow.db").unlink()


def change_a_table(study: Path) -> None:
    table = study / "report" / "comparison.csv"
    table.write_text(table.read_text().replace("adam", "madam"))


def lose_the_tables(study: Path) -> None:
    shutil.rmtree(study / "report")


def leave_temporary_files(study: Path) -> None:
    (study / ".study.json.1234.tmp").write_text("{")
    (spool_of(study, "search").parent / ".checkpoint-000000100.tmp").mkdir()
    (study / ".tune" / "launch").mkdir(parents=True)


def leave_a_checkpoint(study: Path) -> None:
    checkpoint.save(spool_of(study, "search").parent, 7, {}, {})


def lose_the_study_file(study: Path) -> None:
    (study / "study.yaml").unlink()


def edit_the_study_file(study: Path) -> None:
    path = study / "study.yaml"
    path.write_text(path.read_text().replace("seed: 20", "seed: 21"))


def damage_the_study_file(study: Path) -> None:
    (study / "study.yaml").write_text("workloads: [")


def damage_the_facts(study: Path) -> None:
    (study / "study.json").write_text("{}")


REPAIRED: dict[Damage, str] = {
    tear_after_the_end: r"warning: runs/\w+/attempt-1/spool.jsonl: torn last line of 21 bytes",
    lose_a_plan: r"damage: runs/\w+/run.json: is missing",
    lose_a_reruns_plan: r"damage: runs/\w+/run.json: is missing",
    damage_a_plan: r"damage: runs/\w+/run.json: is damaged",
    swap_plans: r"damage: runs/\w+/run.json: is of another run",
    forget_an_end: r"damage: trial database, digits-mlp/\w+ #\d+: has ended \(\w+\), but was not told",
    lose_rows_in_mid_run: r"damage: MLflow, run adam #001.*: 2 rows missing, the first val/kl of epoch 5",
    double_a_row: r"damage: MLflow, run adam #001.*: 1 row doubled",
    change_a_value: r"damage: MLflow, run adam #001.*: 1 row of another value",
    leave_a_zombie: r"damage: MLflow, run adam #001.*: is RUNNING, but no driver runs",
    leave_the_study_run_open: r"damage: MLflow, run STUDY quickstart: is RUNNING, but no driver runs",
    change_a_status: r"damage: MLflow, run adam #001.*: is FAILED \(done\), the records say FINISHED \(done\)",
    delete_a_run: r"damage: MLflow, run adam #001.*: was deleted in MLflow",
    double_a_run: r"damage: MLflow, run .*: is there 2 times",
    lose_mlflow: r"damage: MLflow at .*: has nothing of the study's \d+ runs",
    change_a_table: r"damage: report: stale or missing: comparison.csv; vaestudy export quickstart",
    lose_the_tables: r"damage: report: stale or missing: comparison.csv, curves.csv, runs.csv and \d+ more",
    leave_temporary_files: r"warning: runs/\w+/attempt-1/.checkpoint-000000100.tmp: left behind by a killed process",
    leave_a_checkpoint: r"warning: runs/\w+/attempt-1/checkpoint-000000007: left behind; its run has ended",
    lose_the_study_file: r"damage: study.yaml: is missing",
    edit_the_study_file: r"damage: study.yaml: is not the study that the runs were made under",
    damage_the_study_file: r"damage: study.yaml: cannot be read",
    damage_the_facts: r"damage: study.json: cannot be read",
}


def wrong_summary(lines: list[bytes]) -> list[bytes]:
    end = json.loads(lines[-1][9:])
    end["metrics"]["final/val_nelbo"] -= 1.0
    return [*lines[:-1], line(end)]


# --- what resume runs again -----------------------------------------------------------------------------------------


def damage_a_line(study: Path) -> None:
    spool = spool_of(study, "search", 0)
    flip_a_bit(spool, spool.read_bytes().index(b"\n") + 30)


def lose_a_spool(study: Path) -> None:
    spool_of(study, "search", 1).unlink()


def double_a_line(study: Path) -> None:
    rewrite_lines(spool_of(study, "search", 2), lambda lines: [*lines[:2], lines[1], *lines[2:]])


def lose_a_line(study: Path) -> None:
    rewrite_lines(spool_of(study, "confirm", 1), lambda lines: lines[:5] + lines[6:])


def improve_a_summary(study: Path) -> None:
    rewrite_lines(spool_of(study, "sources", 2), wrong_summary)


def lose_a_run(study: Path) -> None:
    shutil.rmtree(spool_of(study, "search", 5).parents[1])


def lose_a_rerun(study: Path) -> None:
    shutil.rmtree(spool_of(study, "confirm", 0).parents[1])


def tear_the_end(study: Path) -> None:
    spool = spool_of(study, "search", 6)
    spool.write_bytes(spool.read_bytes()[:-5])


def damage_a_checkpoint(study: Path) -> None:
    """Of a run without an end: its spool loses it, its checkpoint a bit."""
    spool = spool_of(study, "search", 8)
    rewrite_lines(spool, lambda lines: lines[:4])
    uid = spool.parents[1].name
    saved = checkpoint.save(spool.parent, 60, {}, {"uid": uid, "study": study_hash(StudyFolder(study).study())})
    flip_a_bit(saved / "state.pt", 100)


RERUN: dict[Damage, str] = {
    damage_a_line: r"damage: runs/\w+/attempt-1/spool.jsonl: line 2 is damaged",
    lose_a_spool: r"damage: runs/\w+/attempt-1/spool.jsonl: is missing",
    double_a_line: r"damage: runs/\w+/attempt-1/spool.jsonl: its reports are not of growing updates",
    lose_a_line: r"damage: runs/\w+/attempt-1/spool.jsonl: a report is gone",
    improve_a_summary: r"damage: runs/\w+/attempt-1/spool.jsonl: its summary says",
    lose_a_run: r"damage: trial database, .*: was told \w+, but its records are gone",
    lose_a_rerun: r"damage: runs/\w+: is in MLflow, but not in the records",
    tear_the_end: r"warning: runs/\w+/attempt-1/spool.jsonl: torn last line",
    damage_a_checkpoint: r"damage: runs/\w+/attempt-1/checkpoint-000000060: is damaged",
}

# --- what only a copy can mend --------------------------------------------------------------------------------------


def tell_another_value(study: Path) -> None:
    in_optuna(study, "update trial_values set value = value + 1 where trial_id = 1")


def add_a_row(study: Path) -> None:
    search = optuna.load_study(study_name="quickstart/digits-mlp/adam", storage=f"sqlite:///{study / 'optuna.db'}")
    first = search.trials[0]
    kept = {"params": first.params, "distributions": first.distributions, "user_attrs": first.user_attrs}
    search.add_trial(create_trial(state=TrialState.COMPLETE, value=first.value, **kept))


def lose_a_row(study: Path) -> None:
    in_optuna(study, "delete from trials where trial_id = 1")


def lose_the_trials(study: Path) -> None:
    (study / "optuna.db").unlink()


def damage_the_trials(study: Path) -> None:
    (study / "optuna.db").write_bytes(b"not a database" * 1000)


def lose_both_study_files(study: Path) -> None:
    (study / "study.yaml").write_text("{")
    (study / "study.json").write_text("{")


def leave_a_foreign_file(study: Path) -> None:
    (spool_of(study, "search").parent / "notes.txt").write_text("mine")


def lose_an_attempt(study: Path) -> None:
    attempt = spool_of(study, "search").parent
    attempt.rename(attempt.with_name("attempt-2"))


NAMED: dict[Damage, str] = {
    tell_another_value: r"damage: trial database, .* #\d+: was told [\d.]+ nats, its record says",
    add_a_row: r"damage: trial database, digits-mlp/adam #000: row 0 is a second one of this trial",
    lose_a_row: r"damage: trial database: .* is in the records, but has no row",
    lose_the_trials: r"damage: trial database: .* is in the records, but has no row",
    damage_the_trials: r"damage: trial database: cannot be read",
    lose_both_study_files: r"damage: study.json: cannot be read",
    leave_a_foreign_file: r"warning: runs/\w+/attempt-1/notes.txt: does not belong here",
    lose_an_attempt: r"warning: runs/\w+: attempt-1 is gone",
}


def names(cases: dict[Damage, str]) -> list[object]:
    return [pytest.param(damage, pattern, id=damage.__name__) for damage, pattern in cases.items()]


def assert_named(pattern: str, findings: Sequence[doctor.Finding]) -> None:
    lines = [str(finding) for finding in findings]
    assert [found for found in lines if re.match(pattern, found)], "\n".join([pattern, *lines])


def assert_as_before(study: Path, sound: Path) -> None:
    """It says what the undamaged study says."""
    assert values(study) == values(sound)
    assert (study / "report/comparison.csv").read_bytes() == (sound / "report/comparison.csv").read_bytes()


@pytest.fixture(scope="module")
def met() -> dict[str, set[str]]:
    """The kinds of damage that the tests of this module have named, repaired and run again."""
    return {"named": set(), "repaired": set(), "run again": set()}


def test_a_sound_study_is_called_sound(sound: Path) -> None:
    assert [str(finding) for finding in doctor.examine(StudyFolder(sound)).left] == []


@pytest.mark.parametrize(("damage", "pattern"), names(REPAIRED))
def test_r22_damage_is_named_and_repaired(
    damage: Damage, pattern: str, study: Path, sound: Path, met: dict[str, set[str]]
) -> None:
    damage(study)
    visit = doctor.repair(StudyFolder(study))
    assert_named(pattern, visit.repaired)
    assert [str(finding) for finding in visit.left] == []
    assert_as_before(study, sound)
    check(study, study.parent / "mlflow.db")
    met["named"].add(damage.__name__)
    met["repaired"].add(damage.__name__)


def test_r22_what_is_lost_is_named_set_aside_and_run_again(
    study: Path, sound: Path, met: dict[str, set[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for damage in RERUN:
        damage(study)
    before = doctor.examine(StudyFolder(study)).left
    for damage, pattern in RERUN.items():
        assert_named(pattern, before)
        met["named"].add(damage.__name__)
    arguments = ["quickstart", "--results", str(study.parent)]
    assert main(["doctor", *arguments]) == 3
    assert main(["doctor", *arguments, "--repair"]) == 0
    assert "vaestudy resume quickstart" in capsys.readouterr().out
    assert len(list(study.glob("runs/*/damaged-attempt-1/spool.jsonl.damaged"))) == 4
    finished(vaestudy("resume", *arguments[:1], results=study.parent))
    assert [str(finding) for finding in doctor.examine(StudyFolder(study)).left] == []
    assert_as_before(study, sound)
    met["run again"] |= {damage.__name__ for damage in RERUN}


@pytest.mark.parametrize(("damage", "pattern"), names(NAMED))
def test_r22_what_cannot_be_repaired_is_named(
    damage: Damage, pattern: str, study: Path, met: dict[str, set[str]]
) -> None:
    damage(study)
    assert_named(pattern, doctor.repair(StudyFolder(study)).left)
    met["named"].add(damage.__name__)


@pytest.mark.bar("R22", "a sound study damaged, one kind at a time")
def test_r22_more_than_ten_kinds_of_damage_were_named(met: dict[str, set[str]], ledger: Ledger) -> None:
    ledger.met = len(met["named"])
    ledger.figures.update({what: len(kinds) for what, kinds in met.items()})
    assert len(met["named"]) >= 10


def test_with_mlflow_away_one_warning_says_so_and_the_rest_is_checked(study: Path) -> None:
    folder = StudyFolder(study)
    away = folder.study().model_dump(by_alias=True) | {"tracking": {"mlflow": "http://127.0.0.1:9"}}
    folder.write(Study.model_validate(away))
    change_a_table(study)
    found = doctor.examine(folder).left
    assert [finding.severity for finding in found] == ["warning", "damage"]
    assert found[0].place == "MLflow"


def test_while_a_driver_runs_nothing_is_repaired_and_its_place_is_told(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_a_zombie(study)
    arguments = ["doctor", "quickstart", "--results", str(study.parent)]
    with StudyFolder(study).lock():
        assert main(arguments) == 0
        assert f"pid {os.getpid()}" in capsys.readouterr().out
        assert main([*arguments, "--repair"]) == 5
    assert main(["--json", *arguments]) == 3
    (finding,) = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert (finding["severity"], finding["repaired"], finding["resumable"]) == ("damage", False, False)


def test_a_disk_that_is_nearly_full_is_a_warning(study: Path) -> None:
    (finding,) = examine_room(StudyFolder(study), least_free_bytes=2**62)
    assert finding.severity == "warning"


def test_trials_in_postgresql_are_looked_at_and_told(
    study: Path, sound: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAESTUDY_CREDENTIAL_LAB", postgres.address(postgres.new_database()))
    forget_an_end(study)
    open_storage("lab", study).close()
    source, target = f"sqlite:///{study / 'optuna.db'}", postgres.address(f"test{postgres._databases}")
    for name in optuna.get_all_study_names(source):
        optuna.copy_study(from_study_name=name, from_storage=source, to_storage=target)
    (study / "optuna.db").unlink()
    folder = StudyFolder(study)
    moved = folder.study().model_dump(by_alias=True) | {"storage": {"optuna": "lab"}}
    folder.write(Study.model_validate(moved))
    assert_named(REPAIRED[forget_an_end], doctor.examine(folder).left)
    assert [str(finding) for finding in doctor.repair(folder).left] == []
    assert values(study) == values(sound)
