"""Checkpoints are whole or absent; damage is noticed and passed over; foreign ones are refused."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from vaestudy import checkpoint
from vaestudy.errors import CheckpointError, DiskError

IDENTITY = {"uid": "u", "study": "s"}


def put(run: Path, step: int, attempt: int = 1) -> Path:
    return checkpoint.save(run / f"attempt-{attempt}", step, {"step": step, "w": torch.arange(64.0)}, IDENTITY)


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    put(tmp_path, 5)
    loaded = checkpoint.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert loaded["step"] == 5
    assert torch.equal(loaded["w"], torch.arange(64.0))


def test_there_is_none_before_the_first(tmp_path: Path) -> None:
    assert checkpoint.load_latest(tmp_path, IDENTITY) is None


def test_two_are_kept_and_the_latest_attempts_is_used(tmp_path: Path) -> None:
    for step in (1, 2, 8):
        put(tmp_path, step)
    put(tmp_path, 7, attempt=2)
    (tmp_path / "attempt-10").mkdir()
    assert len(list((tmp_path / "attempt-1").iterdir())) == 2
    loaded = checkpoint.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert loaded["step"] == 7


def test_those_of_all_attempts_are_discarded(tmp_path: Path) -> None:
    for attempt in (1, 2):
        put(tmp_path, 1, attempt)
    checkpoint.discard(tmp_path)
    assert list(tmp_path.glob("*/checkpoint-*")) == []


@pytest.mark.parametrize("position", [0, 100, 500, -1])
def test_one_flipped_bit_is_noticed_and_the_previous_one_used(
    tmp_path: Path, position: int, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, 1)
    path = put(tmp_path, 2) / "state.pt"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))
    loaded = checkpoint.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert loaded["step"] == 1
    assert "passed over: damaged" in caplog.text


@pytest.mark.parametrize("name", ["state.pt", "manifest.json"])
@pytest.mark.parametrize("damage", [b"", None])
def test_an_empty_or_missing_file_is_passed_over(tmp_path: Path, name: str, damage: bytes | None) -> None:
    put(tmp_path, 1)
    path = put(tmp_path, 2) / name
    path.unlink() if damage is None else path.write_bytes(damage)
    loaded = checkpoint.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert loaded["step"] == 1


def test_one_of_another_run_is_refused(tmp_path: Path) -> None:
    put(tmp_path, 1)
    with pytest.raises(CheckpointError, match="uid is 'u', expected 'other'"):
        checkpoint.load_latest(tmp_path, {"uid": "other", "study": "s"})


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def packed() -> bytes:
    """A checkpoint with a hundred times its size in zeros."""
    buffer = io.BytesIO(saved({"row": 1}))
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1 << 20))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (pickle.dumps(Evil(), protocol=2), "not plain tensors"),
        (saved({"row": Evil()}), "not plain tensors"),
        (saved({"row": Path("x")}), "not plain tensors"),
        (saved([1]), "not a run's state"),
        (packed(), "it unpacks to more than it holds"),
        (b"", "not plain tensors"),
    ],
    ids=["a pickle that runs code", "code beside tensors", "an object of a class", "a list", "packed", "nothing"],
)
def test_what_is_not_plain_tensors_is_refused_unexecuted(tmp_path: Path, content: bytes, says: str) -> None:
    folder = put(tmp_path, 1)
    (folder / "state.pt").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    sealed = {**manifest, "sha256": checkpoint.digest(manifest, content)}
    (folder / "manifest.json").write_text(json.dumps(sealed))
    with pytest.raises(CheckpointError, match=f"refused: {says}"):
        checkpoint.load_latest(tmp_path, IDENTITY)


def test_the_files_are_on_disk_before_the_folder_has_its_name_and_the_name_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []

    def fsync(number: int) -> None:
        path = Path(f"/proc/self/fd/{number}").readlink()
        synced.append((str(path.relative_to(tmp_path / "attempt-1")), os.fstat(number).st_size))

    monkeypatch.setattr(os, "fsync", fsync)
    path = put(tmp_path, 5)
    whole = [(path / name).stat().st_size for name in ("state.pt", "manifest.json")]
    files = [(f".{path.name}.tmp/state.pt", whole[0]), (f".{path.name}.tmp/manifest.json", whole[1])]
    assert synced[:2] == files
    assert [name for name, _ in synced[2:]] == ["."]


def test_the_seal_is_the_sha256_of_the_sorted_manifest_and_the_state() -> None:
    manifest = {"uid": "u", "format": 2, "sha256": "not of itself"}
    expected = "038ddc4437129201ff183552e778b02f59c685fac7ac8dd9ae660b1160dcde9e"
    assert checkpoint.digest(manifest, b"state") == expected


def test_a_manifest_says_format_step_and_identity(tmp_path: Path) -> None:
    manifest = json.loads((put(tmp_path, 5) / "manifest.json").read_text())
    del manifest["sha256"]
    assert manifest == {"format": 2, "step": 5, **IDENTITY}


def test_what_a_killed_writer_left_is_written_over(tmp_path: Path) -> None:
    left = tmp_path / "attempt-1" / ".checkpoint-000000005.tmp"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"x")
    assert {path.name for path in put(tmp_path, 5).iterdir()} == {"state.pt", "manifest.json"}
    assert not left.exists()


def test_a_step_that_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    before = (put(tmp_path, 5) / "state.pt").stat().st_ino
    checkpoint.save(tmp_path / "attempt-1", 5, {"other": 1}, IDENTITY)
    assert (put(tmp_path, 5) / "state.pt").stat().st_ino == before


def test_a_full_disk_is_said_and_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(DiskError, match=r"cannot write checkpoint .*checkpoint-000000005: No space left on device"):
        put(tmp_path, 5)
    assert list((tmp_path / "attempt-1").iterdir()) == []


def test_an_attempt_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "attempt-1").write_bytes(b"")
    with pytest.raises(DiskError, match="cannot write checkpoint"):
        put(tmp_path, 5)


def test_the_newest_two_are_kept_by_step_and_not_by_when_they_were_written(tmp_path: Path) -> None:
    for step in (900, 1000, 20):
        put(tmp_path, step)
    kept = sorted(path.name for path in (tmp_path / "attempt-1").iterdir())
    assert kept == ["checkpoint-000000900", "checkpoint-000001000"]


def test_links_and_files_with_the_name_of_a_checkpoint_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, 1)
    elsewhere = put(tmp_path / "elsewhere", 3)
    (tmp_path / "attempt-1" / "checkpoint-000000003").symlink_to(elsewhere)
    (tmp_path / "attempt-1" / "checkpoint-000000004").write_bytes(b"")
    (tmp_path / "attempt-old").mkdir()
    loaded = checkpoint.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert loaded["step"] == 1
    checkpoint.discard(tmp_path)
    assert elsewhere.exists()
    assert not (tmp_path / "attempt-1" / "checkpoint-000000001").exists()


def test_the_tenth_attempt_comes_after_the_ninth(tmp_path: Path) -> None:
    for attempt in (9, 10):
        put(tmp_path, attempt, attempt)
    loaded = checkpoint.load_latest(tmp_path, IDENTITY)
    assert loaded is not None
    assert loaded["step"] == 10


def test_a_checkpoint_that_cannot_be_removed_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, 1)

    def refuse(*arguments: object, **more: object) -> None:
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(os, "rmdir", refuse)
    checkpoint.discard(tmp_path)
