"""Checkpoints are whole or absent; damage is noticed and passed over; foreign ones are refused."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from vaestudy import checkpoint
from vaestudy.errors import CheckpointError

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
