"""A study's folder: who may read it."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from tests.made_up import arm, study
from vaestudy.errors import ConflictError, DiskError
from vaestudy.records import write_atomically
from vaestudy.study import folder as module
from vaestudy.study.folder import StudyFolder


def test_what_is_made_is_for_its_owner_only(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "results" / "study")
    folder.make()
    assert [oct(path.stat().st_mode & 0o777) for path in (folder.path, folder.path.parent)] == ["0o700", "0o700"]


def test_a_results_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    shared = tmp_path / "results"
    shared.mkdir()
    shared.chmod(0o755)
    StudyFolder(shared / "study").make()
    assert oct(shared.stat().st_mode & 0o777) == "0o755"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(DiskError, match=r"cannot make .*--results"):
        StudyFolder(tmp_path / "results" / "study").make()


def test_whoever_only_looks_is_no_driver(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    folder.make()
    with folder.lock():
        pass
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            assert folder.running in (True, False)

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(50):
        with folder.lock():
            pass
    stop.set()
    looking.join()


def test_a_study_that_is_held_is_found_out_early(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    folder.check_free()
    folder.make()
    with folder.lock(), pytest.raises(ConflictError, match=f"running already: host .*, pid {os.getpid()}, since"):
        folder.check_free()
    folder.check_free()


def test_a_study_that_has_begun_can_be_looked_at_from_the_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, seen = StudyFolder(tmp_path / "made-up"), []

    def write(path: Path, text: str) -> None:
        write_atomically(path, text)
        if begun.resolved.exists():
            seen.append(begun.recorded())

    monkeypatch.setattr(module, "write_atomically", write)
    begun.make()
    begun.write(study())
    assert seen == [study()]


def test_the_facts_say_what_the_registry_says_of_the_studys_optimizers(tmp_path: Path) -> None:
    """Who reads results has no torch to ask the registry."""
    folder = StudyFolder(tmp_path / "study")
    folder.make()
    folder.write(study({"a": arm("momentum"), "b": arm("momentum"), "c": arm("torch.NAdam")}))
    found = json.loads((folder.path / "study.json").read_text())["optimizers"]
    assert list(found) == ["momentum", "torch.NAdam"]
    assert found["momentum"] == {
        "family": "sgd",
        "contains": ["sgd"],
        "defaults": {"lr": 1e-3, "momentum": 0.9, "weight_decay": 0.0},
    }
    assert found["torch.NAdam"]["family"] == "adam"
