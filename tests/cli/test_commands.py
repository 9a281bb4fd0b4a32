"""The command line as a user types it; studies that really run are in test_end_to_end.py."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.made_up import Builder, study
from vaestudy.cli import main
from vaestudy.study.folder import StudyFolder

ROOT = Path(__file__).parents[2]
QUICKSTART = str(ROOT / "studies" / "quickstart.yaml")
COMMANDS = [
    "init",
    "check",
    "plan",
    "launch",
    "resume",
    "stop",
    "status",
    "list",
    "trial",
    "report",
    "export",
    "ui",
    "logs",
    "components",
    "cite",
    "schema",
]


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def made_up(there: Path) -> Builder:
    """A finished study named made-up under ./results."""
    builder = Builder(there / "results", study(trials=2, seeds=2))
    for method, value in (("sgd", 30.0), ("adam", 35.0)):
        builder.search(method, [value + 1, value])
        builder.confirm(method, 1, [value, value + 0.1])
    return builder


def ran(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    assert main(list(arguments)) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return captured.out, captured.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, command, "--help")
    assert "Usage" in out


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "--help")
    assert all(command in out for command in COMMANDS)


def test_help_says_what_is_meant_where_an_option_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "ui", "--help")
    assert "./results" in out
    assert "5000" in out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "--version")
    assert out == f"vaestudy {version('vaestudy')}\n"


def test_a_sound_file_is_called_sound(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "check", QUICKSTART)
    assert out.startswith("quickstart: sound; hash ")


def test_check_prints_the_resolved_file_which_is_sound_itself(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "check", QUICKSTART, "search.trials=3", "--print")
    (there / "resolved.yaml").write_text(out)
    again, _ = ran(capsys, "check", "resolved.yaml", "--print")
    assert again == out
    assert "trials: 3" in out


def test_init_writes_a_file_that_is_sound_and_never_overwrites(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(capsys, "init", "thesis")
    out, _ = ran(capsys, "check", "thesis.yaml")
    assert "thesis: sound" in out
    _, err = ran(capsys, "init", "thesis", code=5)
    assert "thesis.yaml exists already" in err


def test_plan_says_what_a_study_costs_and_writes_nothing(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "plan", QUICKSTART, "search.trials=7")
    assert "digits-mlp/adam" in out
    assert " 7 " in out
    assert list(there.iterdir()) == []


def test_plan_counts_the_runs(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(
        capsys,
        "--json",
        "plan",
        QUICKSTART,
        "search.trials=7",
        "confirm.seeds=3",
        "confirm.sources=2",
        "train.epochs=10",
    )
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["grad_evals"] for line in lines] == [(5 * (7 + 3) + 3 * 2) * 10 * 18] * 4


def test_a_bad_file_is_told_every_problem_with_its_line(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        Path(QUICKSTART)
        .read_text()
        .replace("epochs: 60", "epoch: 60")
        .replace("optimizer: rmsprop", "optimizer: rmspro")
    )
    (there / "bad.yaml").write_text(text)
    _, err = ran(capsys, "check", "bad.yaml", code=2)
    assert "did you mean 'epochs'" in err
    assert "did you mean 'rmsprop'" in err
    assert err.count("bad.yaml:") >= 2


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["check", "missing.yaml"], 2, "missing.yaml"),
        (["check", "."], 2, "folder|directory"),
        (["check", QUICKSTART, "search.trials=abc"], 2, "search.trials"),
        (["check", QUICKSTART, "search.trails=3"], 2, "trials"),
        (["launch", QUICKSTART, "--until", "soon"], 2, "90s, 30m, 2h"),
        (["launch", QUICKSTART, "--until", "0s"], 2, "above 0"),
        (["launch", QUICKSTART, "--adress", "x:1"], 2, "--address"),
        (["lunch"], 2, "launch"),
        (["launch", QUICKSTART, "--resume", "must"], 5, "has not begun"),
        (["resume", "unknown"], 5, "no study 'unknown'"),
        (["resume", "../x"], 2, "x"),
        (["status", "unknown"], 5, "there are none yet"),
        (["report", "unknown"], 5, "no study"),
        (["components", "optimiser"], 2, "did you mean 'optimizer'"),
        (["ui", "unknown"], 5, "no study"),
        (["launch", QUICKSTART, "tracking.mlflow=ftp://x"], 2, "tracking.mlflow"),
        (["launch", QUICKSTART, "storage.optuna=no-such-credential"], 2, "no-such-credential"),
        (["launch", QUICKSTART, "workloads.digits-mlp.batch_size=5000"], 2, "batch_size"),
        (["launch", QUICKSTART, "--address", "nowhere"], 2, "host:port"),
        (["launch", QUICKSTART, "--address", "127.0.0.1:9"], 4, "ray status --address 127.0.0.1:9"),
        (["launch", QUICKSTART, "tracking.mlflow=http://127.0.0.1:9"], 4, "127.0.0.1:9"),
    ],
)
def test_a_mistake_ends_in_one_clear_error(
    arguments: list[str], code: int, says: str, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, err = ran(capsys, *arguments, code=code)
    assert __import__("re").search(says, err), err
    assert len(err.strip().splitlines()) <= 12


@pytest.mark.parametrize(
    ("override", "code"),
    [("search.trials=abc", 2), ("tracking.mlflow=http://127.0.0.1:9", 4), ("storage.optuna=nobody", 2)],
)
def test_a_mistake_before_the_start_leaves_nothing_behind(
    override: str, code: int, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(capsys, "launch", QUICKSTART, override, code=code)
    assert list(there.iterdir()) == []


def test_an_environment_that_mlflow_would_choke_on_is_found_before_the_start(
    there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "abc")
    _, err = ran(capsys, "launch", QUICKSTART, code=2)
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES: expected a whole number, got 'abc'" in err
    assert list(there.iterdir()) == []


def test_a_name_in_use_by_another_study_is_refused_with_the_difference(
    there: Path, made_up: Builder, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(made_up.folder.rglob("*"))
    _, err = ran(capsys, "launch", QUICKSTART, "name=made-up", code=5)
    assert "holds another study named 'made-up'" in err
    assert "train.epochs: 5 -> 60" in err
    assert sorted(made_up.folder.rglob("*")) == before


def test_budgets_may_not_shrink(there: Path, made_up: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = ran(capsys, "launch", str(made_up.folder / "study.yaml"), "search.trials=1", code=5)
    assert "may grow, not shrink" in err


def test_status_and_list_say_how_far_a_study_is(made_up: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "status", "made-up")
    assert "made-up: complete, 8 of 8 runs" in out
    out, _ = ran(capsys, "list")
    assert "complete" in out


def test_json_is_one_object_a_line(made_up: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        ["status", "made-up"],
        ["list"],
        ["report", "made-up"],
        ["trial", "made-up", "sgd#1"],
        ["components"],
    ):
        out, _ = ran(capsys, "--json", *command)
        assert all(isinstance(json.loads(line), dict) for line in out.splitlines())
        assert out


def test_report_ranks_the_methods(made_up: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "report", "made-up")
    assert "sgd" in out.splitlines()[0]
    assert out.index("\nsgd ") < out.index("\nadam ")


def test_export_writes_what_is_asked_for(made_up: Builder, there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "export", "made-up", "--format", "csv,tex", "--out", "tables")
    assert {"comparison.csv", "comparison.tex"} <= {path.name for path in (there / "tables").iterdir()}
    assert "tables/comparison.csv" in out


@pytest.mark.parametrize("which", ["sgd#1", "sgd#1/2"])
def test_a_run_is_found_by_its_short_name(which: str, made_up: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "trial", "made-up", which)
    assert "outcome: done" in out
    assert "attempt-1" in out


def test_an_unknown_run_names_the_nearest(made_up: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = ran(capsys, "trial", "made-up", "sgd#9", code=2)
    assert "no run with ID 'sgd#9'" in err
    assert "sgd#1" in err


def test_a_damaged_spool_is_named(made_up: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    spool = sorted(made_up.folder.glob("runs/*/attempt-1/spool.jsonl"))[0]
    spool.write_bytes(b"00000000 {}\n" + spool.read_bytes())
    _, err = ran(capsys, "report", "made-up", code=3)
    assert "spool.jsonl:1: damaged line" in err


def test_stopping_a_study_that_does_not_run_is_a_conflict(made_up: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = ran(capsys, "stop", "made-up", code=5)
    assert "is not running" in err


def test_cite_gives_bibtex_of_what_a_study_uses(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "cite", QUICKSTART)
    assert "kingma2015adam" in out
    assert "shen2024variational" in out
    assert "xiao2017fashion" not in out
    assert "tipping1999probabilistic" not in out  # of the linear model; the study has a linear schedule


def test_cite_gives_bibtex_of_what_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "cite", "ivon")
    assert out.startswith("@misc{shen2024variational,")
    assert out.count("@misc") == 1
    assert ran(capsys, "cite", "constant")[0] == ""  # nobody's invention
    _, err = ran(capsys, "cite", "ivonn", code=2)
    assert "no component and no study 'ivonn'; did you mean 'ivon'?" in err


def test_components_shows_what_each_hyperparameter_defaults_to(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "components", "optimizer")
    assert "ivon" in out
    assert "beta1=0.9" in out
    assert "clip_radius=none" in out


def test_components_shows_the_family_of_each_optimizer_and_what_it_contains(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "components", "optimizer")
    assert re.search(r"^optimizer +family +what it is", out)
    assert re.search(r"^nesterov +sgd +Stochastic", out, re.MULTILINE)
    out, _ = ran(capsys, "--json", "components", "optimizer")
    found = {entry["name"]: entry for entry in map(json.loads, out.splitlines())}
    assert found["adamw"]["family"] == "adam"
    assert found["adamw"]["contains"] == ["sgd", "momentum", "adam"]
    out, _ = ran(capsys, "components", "schedule")
    assert "family" not in out


def test_schema_is_the_schema_that_ships(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "schema")
    assert json.loads(out) == json.loads((ROOT / "studies" / "study.schema.json").read_text())


@pytest.mark.parametrize("command", ["--help", "status made-up", "stop made-up", "logs made-up", "list"])
def test_what_trains_nothing_does_not_wait_for_torch_or_ray(tmp_path: Path, command: str) -> None:
    Builder(tmp_path).search("adam", [30.0])
    heavy = {"torch", "ray", "mlflow", "optuna"}
    arguments = [*command.split(), *([] if command == "--help" else ["--results", str(tmp_path)])]
    code = f"import sys; from vaestudy.cli import main; main({arguments}); print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
    ).stdout
    assert out.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["resume", "made-up", "--results", ".."],
        ["launch", "made-up", "--results", ".."],
        ["launch", "../made-up/study.yaml", "--results", ".."],
        ["launch", "../made-up/study.yaml", "storage.results=.."],
        ["launch", "../made-up/study.yaml", "name=made-up", "storage.results=..", "search.trials=none"],
    ],
)
def test_the_shipper_and_a_launch_that_is_refused_for_another_do_without_torch(
    tmp_path: Path, arguments: list[str]
) -> None:
    builder = Builder(tmp_path)
    (tmp_path / "here").mkdir()
    code = (
        "import sys, vaestudy.study.ship; from vaestudy.cli import main; "
        "print(main(sys.argv[1:]), 'torch' in sys.modules)"
    )
    with StudyFolder(builder.folder).lock():
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path / "here",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert done.stdout.splitlines()[-1] == "5 False", done.stderr


def test_an_internal_error_is_one_line_and_a_crash_file(
    there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vaestudy.study.folder.known", lambda *results: 1 / 0)
    _, err = ran(capsys, "list", code=70)
    crash = Path(err.strip().split("the traceback is in ")[1])
    assert "ZeroDivisionError" in crash.read_text()
    crash.unlink()


@pytest.fixture
def logged(made_up: Builder) -> Path:
    """What driver and shipper of made-up have logged, by turns."""
    study = Path("results") / "made-up"
    logs = {
        "driver.log": [(1, "INFO", "Ray is up"), (3, "ERROR", "no space")],
        "shipper.log": [(2, "WARNING", "not now")],
    }
    for name, lines in logs.items():
        told = [
            {"time": f"2026-01-01T12:00:0{second}.000Z", "level": level, "logger": "vaestudy.x", "message": message}
            for second, level, message in lines
        ]
        (study / name).write_text("".join(json.dumps(line) + "\n" for line in told))
    return study


def test_logs_are_shown_in_the_order_in_which_they_were_written(
    logged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = ran(capsys, "logs", "made-up")
    assert [line.split(" ", 2)[2] for line in out.splitlines()] == [
        "INFO vaestudy.x Ray is up",
        "WARNING vaestudy.x not now",
        "ERROR vaestudy.x no space",
    ]


def test_logs_as_json_are_the_objects_as_they_were_written(logged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ran(capsys, "--json", "logs", "made-up", "--lines", "1")
    (line,) = out.splitlines()
    assert json.loads(line) == json.loads((logged / "driver.log").read_text().splitlines()[-1])


def test_a_study_that_has_logged_nothing_shows_nothing(made_up: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "logs", "made-up") == ("", "")
