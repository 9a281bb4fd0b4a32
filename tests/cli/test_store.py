"""Commands on results in an object store, from a machine that has never seen the study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.object_store import object_store, results
from tests.made_up import Builder, study
from vaestudy.cli import main
from vaestudy.store import results_at
from vaestudy.study import lease
from vaestudy.study.folder import StudyFolder
from vaestudy.study.working_copy import WorkingCopy, refresh

__all__ = ["object_store", "results"]


@pytest.fixture
def address(results: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a store with the finished study made-up, which another machine has sent there."""
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "driver"))
    builder = Builder(results_at(results).path, study(trials=2, seeds=2))
    for method, value in (("sgd", 30.0), ("adam", 35.0)):
        builder.search(method, [value + 1, value])
        builder.confirm(method, 1, [value, value + 0.1])
    drive(builder.folder, results)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    return results


def drive(folder: Path, address: str) -> None:
    """What a driver does, without its runs."""
    with StudyFolder(folder, address).lock(), WorkingCopy.driving(folder, address):
        pass


def ran(capsys: pytest.CaptureFixture[str], address: str, *arguments: str, code: int = 0) -> tuple[str, str]:
    assert main([*arguments, "--results", address]) == code, capsys.readouterr()
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return captured.out, captured.err


def test_a_study_is_shown_and_exported_anywhere(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = ran(capsys, address, "--json", "list")
    assert json.loads(out)["name"] == "made-up"
    out, _ = ran(capsys, address, "--json", "status", "made-up")
    assert json.loads(out)["state"] != "running"
    out, _ = ran(capsys, address, "report", "made-up")
    assert "sgd" in out
    out, _ = ran(capsys, address, "export", "made-up", "--tables", "--format", "csv")
    tables = [Path(line) for line in out.splitlines()]
    assert all(path.is_file() and path.is_relative_to(tmp_path / "elsewhere") for path in tables)
    assert [path.name for path in tables if path.name == "comparison.csv"]
    ran(capsys, address, "logs", "made-up")


def test_what_is_not_there_is_said_by_the_stores_address(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = ran(capsys, address, "status", "made-op", code=5)
    assert f"no study 'made-op' under {address}; did you mean 'made-up'?" in err
    _, err = ran(capsys, address, "stop", "made-up", code=5)
    assert "study 'made-up' is not running" in err


def test_mlflows_sqlite_is_said_to_be_the_drivers(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = ran(capsys, address, "ui", code=2)
    assert "it stays on the host of the study's driver; run this there, or let tracking.mlflow name a server" in err


def test_a_study_that_runs_elsewhere_is_said_to_run_and_is_not_launched(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (driver,) = (tmp_path / "driver").rglob("made-up")
    with StudyFolder(driver, address).lock(), WorkingCopy.driving(driver, address):
        out, _ = ran(capsys, address, "--json", "status", "made-up")
        assert json.loads(out)["state"] == "running"
        _, err = ran(capsys, address, "resume", "made-up", code=5)
        assert "study 'made-up' is running already: host " in err
    out, _ = ran(capsys, address, "--json", "status", "made-up")
    assert json.loads(out)["state"] != "running"


def test_what_a_repair_sets_aside_is_set_aside_for_all(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(capsys, address, "status", "made-up")
    (copy,) = (tmp_path / "elsewhere").rglob("made-up")
    spool = min(copy.glob("runs/*/attempt-1/spool.jsonl"))
    spool.write_text("damaged\n" + spool.read_text())
    drive(copy, address)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "third"))
    main(["doctor", "made-up", "--repair", "--results", address])
    assert f"repaired: runs/{spool.parent.parent.name}/attempt-1/spool.jsonl" in capsys.readouterr().out
    (third,) = (tmp_path / "third").rglob("made-up")
    refresh(copy, address)
    assert records(copy) == records(third)
    assert not spool.exists()


def records(copy: Path) -> dict[str, bytes]:
    return {str(path.relative_to(copy)): path.read_bytes() for path in copy.glob("runs/**/*") if path.is_file()}
