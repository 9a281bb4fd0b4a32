"""The records: every run's plan, its attempts, and the lines of its spool."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from vaestudy.errors import DataError
from vaestudy.records import RunRecord, attempt_folder, attempts, read_plan, read_run, sync_folder
from vaestudy.seeding import uid as identity
from vaestudy.spools import inspect_spool
from vaestudy.study.doctor.finding import BY_REPAIR, Finding, Repair

ASIDE = "damaged-"
"""How the name of what was set aside begins."""

AGAIN = "set it aside with --repair, then vaestudy resume runs it again, with the same numbers"
ATTEMPT = re.compile(r"(damaged-)?attempt-(\d+)(\.\d+)?")
OURS_IN_RUN = re.compile(rf"run\.json|{ATTEMPT.pattern}|\..*\.tmp")
OURS_IN_ATTEMPT = re.compile(r"spool\.jsonl|outputs\.npz|(damaged-)?checkpoint-\d+(\.\d+)?|\..*\.tmp")

Rewrite = Callable[[str], Repair]
"""Makes the repair of the plan of a run, by uid."""


@dataclass
class Records:
    """What the records hold.

    Attributes:
        sound: the runs that can be believed, by uid.
        folders: the uids of all runs that have a folder, sound or not.
    """

    sound: dict[str, RunRecord] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


def examine_runs(folder: Path, study_hash: str, running: bool, rewrite: Rewrite) -> Records:
    """Every run of a study's folder.

    Args:
        running: a driver writes there now; what it may be about to write is not missed.
    """
    records = Records()
    place = folder / "runs"
    for entry in sorted(place.iterdir()) if place.is_dir() else []:
        if not entry.is_dir():
            records.findings.append(_foreign(folder, entry))
            continue
        uid = entry.name
        records.folders.add(uid)
        found = [*_plan(folder, uid, study_hash, rewrite(uid)), *_attempts(folder, uid, running)]
        records.findings += found
        if attempts(folder, uid) and not any(finding.severity == "damage" for finding in found):
            records.sound[uid] = read_run(folder, uid)
    return records


def set_aside(path: Path) -> None:
    """Takes what is damaged out of the way, under a name that nobody reads; the spool within is renamed too."""
    spool = path / "spool.jsonl"
    if spool.exists():
        spool.rename(path / "spool.jsonl.damaged")
    target = path.with_name(f"{ASIDE}{path.name}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{ASIDE}{path.name}.{number}")
    path.rename(target)
    sync_folder(path.parent)


def _plan(folder: Path, uid: str, study_hash: str, rewrite: Repair) -> Iterator[Finding]:
    place = f"runs/{uid}/run.json"
    if not (folder / place).exists():
        yield Finding("damage", place, "is missing", BY_REPAIR, rewrite)
        return
    try:
        run = read_plan(folder, uid)
    except DataError as error:
        what = f"is damaged ({error.__cause__})" if error.__cause__ else "is of another run, by its uid"
        yield Finding("damage", place, what, BY_REPAIR, rewrite)
        return
    if identity(study_hash, run.cell, run.trial, run.seed) != uid:
        yield Finding("damage", place, f"is of another run ({run.name})", BY_REPAIR, rewrite)


def _attempts(folder: Path, uid: str, running: bool) -> Iterator[Finding]:
    run = folder / "runs" / uid
    names = {entry.name for entry in run.iterdir()}
    yield from (_foreign(folder, run / name) for name in sorted(names) if not OURS_IN_RUN.fullmatch(name))
    numbers = attempts(folder, uid)
    known = {int(found[2]) for name in names if (found := ATTEMPT.match(name))}
    missing = set(range(1, max(numbers, default=0))) - known
    if missing:
        which = ", ".join(f"attempt-{number}" for number in sorted(missing))
        yield Finding("warning", f"runs/{uid}", f"{which} is gone; only the last attempt counts")
    for number in numbers:
        path = attempt_folder(folder, uid, number)
        foreign = sorted(entry for entry in path.iterdir() if not OURS_IN_ATTEMPT.fullmatch(entry.name))
        yield from (_foreign(folder, entry) for entry in foreign)
        yield from _spool(folder, path, number == numbers[-1], running)


def _spool(folder: Path, attempt: Path, last: bool, running: bool) -> Iterator[Finding]:
    spool = attempt / "spool.jsonl"
    place = str(spool.relative_to(folder))
    if not spool.exists():
        trouble = "" if running else "is missing"
    else:
        state = inspect_spool(spool)
        if state.torn and not running:
            yield Finding("warning", place, f"torn last line of {state.torn} bytes", BY_REPAIR, partial(_cut, spool))
        trouble = f"line {state.damaged} is damaged" if state.damaged else _inconsistent(state.events)
    if trouble and last:
        yield Finding("damage", place, trouble, AGAIN, partial(set_aside, attempt))
    elif trouble:
        yield Finding("warning", place, f"{trouble}; only the last attempt counts")


def _inconsistent(events: Sequence[Mapping[str, Any]]) -> str:
    """What lines that are sound each cannot say together; empty where they may."""
    shape = "".join(str(event.get("kind"))[:1] for event in events)
    if not re.fullmatch("(sr*e?)?", shape):
        return "its lines are not a start, reports and at most one end"
    reports = [event for event in events if event["kind"] == "report"]
    steps = [int(report["step"]) for report in reports]
    if steps != sorted(set(steps)):
        return f"its reports are not of growing updates: {_shortened(steps)}"
    strides = [later - earlier for earlier, later in pairwise(steps)]
    if steps and (steps[0] != 0 or len(set(strides[:-1])) > 1 or strides[-1:] > strides[:1]):
        return f"a report is gone: there are those of updates {_shortened(steps)}"
    return (
        _untrue(events[-1], {int(report["step"]): report["metrics"] for report in reports}) if shape[-1:] == "e" else ""
    )


def _untrue(end: Mapping[str, Any], measured: Mapping[int, Mapping[str, float]]) -> str:
    """How the end of a run that says what it reached differs from its reports; empty where it does not."""
    if end["outcome"] not in ("done", "pruned"):
        return ""
    if end["step"] not in measured or (end["outcome"] == "done" and end["step"] != max(measured)):
        return f"it ends at update {end['step']}, its reports at {max(measured, default=0)}"
    said, found = end["metrics"].get("final/val_nelbo"), measured[end["step"]].get("val/nelbo")
    return "" if said == found else f"its summary says {said} nats where its report says {found}"


def _shortened(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps if len(steps) < 8 else [*steps[:4], "...", *steps[-3:]]))


def _cut(spool: Path) -> None:
    """Takes a torn last line off."""
    torn = inspect_spool(spool).torn
    with spool.open("r+b") as file:
        file.truncate(spool.stat().st_size - torn)
        os.fsync(file.fileno())


def _foreign(folder: Path, path: Path) -> Finding:
    return Finding("warning", str(path.relative_to(folder)), "does not belong here", "move it elsewhere")
