"""MLflow, the shop window: every run of the records once, every row of its curves once, and nothing that goes on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vaestudy.errors import VaestudyError
from vaestudy.records import RunRecord
from vaestudy.spec import Study, study_hash
from vaestudy.study.doctor.finding import BY_REPAIR, Finding, Repair
from vaestudy.study.folder import StudyFolder
from vaestudy.study.ship import ship_all
from vaestudy.study.working_copy import written_elsewhere
from vaestudy.tracking import rows, tracking_uri
from vaestudy.tracking.address import SQLITE, connect, store_file, without_login
from vaestudy.tracking.stored import Row, StoredRun

if TYPE_CHECKING:
    from vaestudy.tracking.store import Store

CLOCKS = "time/"
"""How the names of metrics begin that are not the same when a run is run again."""

SAME = 1e-9
"""Relative difference of a value that went through JSON."""


@dataclass(frozen=True)
class Window:
    """MLflow's part of one study.

    Attributes:
        ship: the repair that sends all that is new, and ends what has ended.
        held: the rows that MLflow has of each of its runs, by its id.
    """

    study: Study
    store: Store
    ship: Repair
    held: Mapping[str, Sequence[Row]]


def examine_window(
    study: Study, folder: StudyFolder, records: Mapping[str, RunRecord], folders: set[str], behind: bool
) -> list[Finding]:
    """MLflow's runs and rows against the records, by uid.

    Args:
        folders: the uids of all runs that have a folder, sound or not.
        behind: a shipper is at work; what it has not sent yet is not missed.
    """
    try:
        uri = tracking_uri(study.tracking.mlflow, folder.path.parent)
        if uri is None:
            return []
        if uri.startswith(SQLITE) and written_elsewhere(folder.path):
            return [Finding("note", "MLflow", "its SQLite is on the host of the study's driver; ask the doctor there")]
        return list(_examine(study, folder, records, folders, behind, uri))
    except VaestudyError as error:
        return [Finding("warning", "MLflow", "cannot be asked, the rest was checked", str(error))]


def _examine(
    study: Study, folder: StudyFolder, records: Mapping[str, RunRecord], folders: set[str], behind: bool, uri: str
) -> Iterator[Finding]:
    if behind:
        yield Finding("note", "MLflow", "is being written; it was looked at for doubled runs only")
    ship = partial(ship_all, folder, f"vaestudy doctor {study.name} --repair")
    place = f"MLflow at {without_login(uri)}"
    found = None if uri.startswith(SQLITE) and not store_file(uri).exists() else _opened(study, uri)
    if found is None:
        if records and not behind:
            yield Finding("damage", place, f"has nothing of the study's {len(records)} runs", BY_REPAIR, ship)
        return
    store, everything = found
    known: dict[str, list[StoredRun]] = {}
    for run in everything:
        known.setdefault(run.tags["uid"], []).append(run)
    window = Window(study, store, ship, _held(store, everything, records))
    yield from _study_run(window, known.pop(study_hash(study), []), behind)
    for uid, record in records.items():
        yield from _run(window, record, known.pop(uid, []), behind)
    for uid, runs in known.items():
        if uid not in folders and any(not run.deleted for run in runs):
            what = "is in MLflow, but not in the records"
            again = f"run it again, with the same numbers: vaestudy resume {study.name}"
            yield Finding("damage", f"runs/{uid}", what, again, resumable=True)


def _opened(study: Study, uri: str) -> tuple[Store, list[StoredRun]] | None:
    """The store and what it has of the study; None where it does not know the study."""
    store = connect(uri)
    experiment = store.find_experiment(study.name, study_hash(study))
    return None if experiment is None else (store, store.every_run(experiment))


def _held(store: Store, runs: Sequence[StoredRun], records: Mapping[str, RunRecord]) -> dict[str, list[Row]]:
    """The rows of the curves that MLflow has, by its run, a request for each name of a metric and hundred runs."""
    names = {
        rows.PROGRESS,
        *(name for record in records.values() for report in record.reports for name in report.metrics),
    }
    ids = [run.run_id for run in runs if not run.deleted and run.tags["uid"] in records]
    held: dict[str, list[Row]] = {run_id: [] for run_id in ids}
    for name in sorted(names):
        for run_id, values in store.history(ids, name).items():
            held[run_id] += [row for row in values if row.step > 0]
    return held


def _study_run(window: Window, runs: Sequence[StoredRun], behind: bool) -> Iterator[Finding]:
    place = f"MLflow, run STUDY {window.study.name}"
    yield from _existence(window, place, runs, behind)
    if not behind and any(run.status == "RUNNING" for run in runs[:1]):
        yield Finding("damage", place, "is RUNNING, but no driver runs", BY_REPAIR, window.ship)


def _run(window: Window, record: RunRecord, runs: Sequence[StoredRun], behind: bool) -> Iterator[Finding]:
    place = f"MLflow, run {record.run.name} ({record.run.uid})"
    yield from _existence(window, place, runs, behind)
    active = [run for run in runs if not run.deleted][:1]
    for run in active:
        if not behind:
            yield from _rows(window, place, record, run)
            yield from _status(window, place, record, run)


def _existence(window: Window, place: str, runs: Sequence[StoredRun], behind: bool) -> Iterator[Finding]:
    """Exactly one active run of a uid."""
    active = [run for run in runs if not run.deleted]
    if len(active) > 1:
        yield Finding("damage", place, f"is there {len(active)} times", BY_REPAIR, window.ship)
    elif runs and not active:
        restore = partial(window.store.restore, runs[0].run_id)
        yield Finding("damage", place, "was deleted in MLflow", "restore it there, or with --repair", restore)
    elif not runs and not behind:
        yield Finding("damage", place, "is missing", BY_REPAIR, window.ship)


def _rows(window: Window, place: str, record: RunRecord, run: StoredRun) -> Iterator[Finding]:
    """Every row of the curves once, with its value."""
    measured = {(row.key, row.step): row for row in rows.curve_rows(record, -1)}
    held = window.held[run.run_id]
    there = Counter((row.key, row.step) for row in held)
    missing = [row for where, row in measured.items() if where not in there]
    if missing:
        send = partial(window.store.log, run.run_id, missing)
        what = f"{_count(missing)} missing, the first {missing[0].key} of epoch {missing[0].step}"
        yield Finding("damage", place, what, BY_REPAIR, send)
    doubled = [where for where, count in there.items() if count > 1]
    strange = [where for where in there if where not in measured] if record.end else []
    changed = [row for row in held if not _same(row, measured.get((row.key, row.step), row))]
    for what, places in (("doubled", doubled), ("not in the records", strange), ("of another value", changed)):
        if places:
            # MLflow takes no row back: the run goes, and its successor is missing at the next look.
            retire = partial(window.store.retire, run.run_id)
            yield Finding("damage", place, f"{_count(places)} {what}", "send it anew with --repair", retire)


def _status(window: Window, place: str, record: RunRecord, run: StoredRun) -> Iterator[Finding]:
    """What MLflow says of an ended or interrupted run."""
    expected = rows.status(record) if record.end else "KILLED"
    outcome = record.end.outcome if record.end else rows.INTERRUPTED
    said = run.tags.get("outcome", "")
    if run.status == "RUNNING":
        yield Finding("damage", place, "is RUNNING, but no driver runs", BY_REPAIR, window.ship)
    elif run.status != expected or said != outcome:
        what = f"is {run.status} ({said}), the records say {expected} ({outcome})"
        yield Finding("damage", place, what, BY_REPAIR, partial(window.store.reopen, run.run_id))


def _same(row: Row, other: Row) -> bool:
    return row.key.startswith(CLOCKS) or math.isclose(row.value, other.value, rel_tol=SAME)


def _count(rows: Sequence[object]) -> str:
    return f"{len(rows)} row{'s' * (len(rows) != 1)}"
