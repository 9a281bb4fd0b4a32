"""A study whose results are in an object store, killed halfway on a machine that never comes back."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.chaos.checkers import check_curves, check_final_state, check_numbers, check_progress
from tests.fixtures.object_store import ObjectStore, object_store
from tests.launched import CALM, FEW, OFTEN, SMALL, calm, finished, until, vaestudy
from vaestudy.store import Store

__all__ = ["object_store"]

STUDY = ["studies/quickstart.yaml", *SMALL, *FEW, "train.epochs=60", *OFTEN, *CALM]
RUNS = 22


def on_command_lines(secret: str) -> bool:
    """Whether any process shows it."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if secret in " ".join(process.cmdline()):
                return True
    return False


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_study_goes_on_from_the_store_on_another_machine(
    tmp_path: Path, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    study = Store(object_store.address).below("quickstart")

    def host(name: str, *arguments: str) -> subprocess.Popen[str]:
        home = {"HOME": str(tmp_path / name), "XDG_CACHE_HOME": str(tmp_path / name / "cache")}
        return vaestudy(*arguments, results=object_store.address, env=home)

    driver = host("first", "launch", *STUDY)

    def begun() -> int:
        return sum(key.endswith("spool.jsonl") for key in study.entries("runs"))

    def checkpoints() -> list[str]:
        return [key for key in study.entries("runs") if "checkpoint-" in key]

    until(lambda: begun() >= RUNS // 2 and bool(checkpoints()), driver, seconds=600)
    assert not on_command_lines(object_store.environment["AWS_SECRET_ACCESS_KEY"])
    for process in [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]:
        process.kill()
    driver.wait()
    time.sleep(1)  # until the last of them is gone
    shutil.rmtree(tmp_path / "first")

    _, said = finished(host("second", "resume", "quickstart"), code=5)
    assert "is running already: host " in said
    deadline = time.monotonic() + 120
    while study.read("lease.json") is not None:
        assert time.monotonic() < deadline
        second = host("second", "resume", "quickstart")
        _, said = second.communicate(timeout=900)
        assert second.returncode in (0, 5), said
    out, _ = finished(host("third", "status", "quickstart"))
    assert f"quickstart: complete, {RUNS} of {RUNS} runs" in out
    out, _ = finished(host("third", "export", "quickstart", "--tables"))
    assert "comparison.csv" in out
    assert checkpoints() == []

    (copy,) = (tmp_path / "third" / "cache" / "vaestudy" / "results").glob("*/quickstart")
    check_progress(copy)
    check_curves(copy)
    check_final_state(copy, lambda question: [], None)
    check_numbers(copy, calm(tmp_path / "calm", *STUDY[1:]))
