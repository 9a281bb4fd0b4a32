"""What a killed process leaves: temporary files, checkpoints of runs that have ended, unsound ones of open runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from vaestudy import checkpoint
from vaestudy.records import RunRecord
from vaestudy.study.doctor.finding import BY_REPAIR, Finding
from vaestudy.study.doctor.runs import set_aside
from vaestudy.study.folder import StudyFolder

LEAST_FREE_BYTES = 10**9


def examine_remains(folder: Path) -> Iterator[Finding]:
    """Temporary files and folders; those of a study that nobody runs."""
    for path in sorted([*folder.rglob(".*.tmp"), *folder.glob(".tune")]):
        yield Finding(
            "warning", _place(folder, path), "left behind by a killed process", BY_REPAIR, partial(_remove, path)
        )


def examine_checkpoints(folder: Path, records: Mapping[str, RunRecord], study_hash: str) -> Iterator[Finding]:
    """The checkpoints of open runs, which ``resume`` goes on from; of ended runs none should be left."""
    for path in sorted(folder.glob("runs/*/attempt-*/checkpoint-*")):
        uid = path.parent.parent.name
        record = records.get(uid)
        if record is not None and record.end is not None:
            discard = partial(checkpoint.discard, folder / "runs" / uid)
            yield Finding("warning", _place(folder, path), "left behind; its run has ended", BY_REPAIR, discard)
        else:
            trouble = _trouble(path, {"uid": uid, "study": study_hash})
            if trouble:
                remedy = "set it aside with --repair; the run goes on from an older one, or from its start"
                yield Finding("damage", _place(folder, path), trouble, remedy, partial(set_aside, path))


def examine_room(folder: StudyFolder, least_free_bytes: int = LEAST_FREE_BYTES) -> Iterator[Finding]:
    """Whether the study's disk has room, and who runs the study."""
    free = shutil.disk_usage(folder.path).free
    if free < least_free_bytes:
        yield Finding("warning", str(folder.path), f"{free / 1e9:.2f} GB are free on its disk", "free some space")


def _trouble(path: Path, identity: Mapping[str, str]) -> str:
    """Why a checkpoint cannot be used; empty where it can."""
    try:
        manifest = json.loads((path / "manifest.json").read_bytes())
        content = (path / "state.pt").read_bytes()
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"
    if not isinstance(manifest, dict) or checkpoint.digest(manifest, content) != manifest.get("sha256"):
        return "is damaged: its SHA-256 is another one"
    others = [key for key, value in identity.items() if manifest.get(key) != value]
    return f"is of another {others[0].replace('uid', 'run')}" if others else ""


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _place(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder))
