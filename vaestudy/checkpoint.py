"""Checkpoints that are whole or absent: a folder with a SHA-256 manifest, renamed into place.

    <run folder>/attempt-<k>/checkpoint-<step>/{state.pt, manifest.json}

One flipped bit in a tensor file goes unnoticed by ``torch.load``; the manifest's SHA-256 is over the state and over the
rest of the manifest. The newest sound checkpoint of the latest attempt that has one is used; a damaged one is passed
over with a warning. Nothing is unpickled but plain tensors.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import pickle
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from vaestudy.errors import CheckpointError, DiskError
from vaestudy.records import sync_folder

FORMAT = 2
KEPT = 2
log = logging.getLogger(__name__)


def save(attempt: Path, step: int, state: Mapping[str, Any], identity: Mapping[str, str]) -> Path:
    """Writes the state of a run after ``step`` updates; keeps the newest two checkpoints of the attempt.

    Raises:
        DiskError: the disk is full or cannot be written; nothing half-written stays.
    """
    target = attempt / f"checkpoint-{step:09d}"
    if target.exists():
        return target
    temporary = attempt / f".{target.name}.tmp"
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getvalue()
    manifest = {"format": FORMAT, "step": step, **identity}
    manifest["sha256"] = digest(manifest, content)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _write(temporary / "state.pt", content)
        _write(temporary / "manifest.json", json.dumps(manifest).encode())
        temporary.rename(target)
        sync_folder(attempt)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise DiskError(f"cannot write checkpoint {target}: {error.strerror or error}") from error
    for old in _found(attempt)[KEPT:]:
        shutil.rmtree(old)
    return target


def load_latest(run: Path, identity: Mapping[str, str]) -> dict[str, Any] | None:
    """The newest sound state of the latest attempt of a run that has one; None where there is none.

    Raises:
        CheckpointError: a checkpoint is sound but of another run, or holds more than plain tensors.
    """
    for path in (path for attempt in _attempts(run) for path in _found(attempt)):
        content = _sound(path, identity)
        if content is not None:
            return _plain(path, content)
    return None


def discard(run: Path) -> None:
    """Removes the checkpoints of a run that has ended."""
    for path in (path for attempt in _attempts(run) for path in _found(attempt)):
        shutil.rmtree(path, ignore_errors=True)


def _attempts(run: Path) -> list[Path]:
    """A run's attempts, latest first."""
    numbered = [path for path in run.glob("attempt-*") if path.name.removeprefix("attempt-").isdigit()]
    return sorted(numbered, key=lambda path: int(path.name.removeprefix("attempt-")), reverse=True)


def _found(attempt: Path) -> list[Path]:
    """An attempt's checkpoints, newest first; links are not followed."""
    return sorted((p for p in attempt.glob("checkpoint-*") if p.is_dir() and not p.is_symlink()), reverse=True)


def _sound(path: Path, identity: Mapping[str, str]) -> bytes | None:
    try:
        manifest = json.loads((path / "manifest.json").read_text())
        content = (path / "state.pt").read_bytes()
    except (OSError, ValueError) as error:
        log.warning("checkpoint %s passed over: %s", path, error)
        return None
    if not isinstance(manifest, dict) or digest(manifest, content) != manifest.get("sha256"):
        log.warning("checkpoint %s passed over: damaged, or not of format %d", path, FORMAT)
        return None
    for key, value in identity.items():
        if manifest.get(key) != value:
            raise CheckpointError(f"{path}: {key} is {manifest.get(key)!r}, expected {value!r}: of another run")
    return content


def digest(manifest: Mapping[str, Any], content: bytes) -> str:
    """The SHA-256 of a state and of all that its manifest says beside."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode() + content).hexdigest()


def _plain(path: Path, content: bytes) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > len(content):
                raise CheckpointError(f"{path}: refused: it unpacks to more than it holds")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError) as error:
        raise CheckpointError(f"{path}: refused: not plain tensors") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: refused: not a run's state")
    return cast(dict[str, Any], state)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
