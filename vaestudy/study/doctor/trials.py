"""The trial database: a row for every trial of the records, told what they say, and nothing beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vaestudy.errors import VaestudyError
from vaestudy.records import RunRecord, tuning_seed
from vaestudy.search import Entry, entries, open_storage, settle
from vaestudy.seeding import uid
from vaestudy.spec import Cell, SearchId, Study, searches, study_hash
from vaestudy.study.doctor.finding import BY_REPAIR, Finding

PUT_BACK = "put back a copy of the trial database"
Table = Mapping[SearchId, Sequence[Entry]]
"""The rows of each search."""


@dataclass
class Trials:
    """What the trial database holds; ``table`` is None where it cannot be read."""

    table: Table | None = None
    findings: list[Finding] = field(default_factory=list)


def read_table(study: Study, folder: Path) -> Table:
    """The rows of all searches of a study; none of a search that has not begun.

    Raises:
        VaestudyError: the database cannot be read.
    """
    if study.storage.optuna == "sqlite" and not (folder / "optuna.db").exists():
        return {}
    with closing(open_storage(study.storage.optuna, folder)) as storage:
        return {of: entries(storage, f"{study.name}/{of.key}") or [] for of in searches(study)}


def examine_trials(study: Study, folder: Path, records: Mapping[str, RunRecord], running: bool) -> Trials:
    """The rows of the study's searches against its records, by uid."""
    try:
        trials = Trials(read_table(study, folder))
    except VaestudyError as error:
        return Trials(None, [Finding("damage", "trial database", "cannot be read", str(error))])
    assert trials.table is not None
    searched = {key: record for key, record in records.items() if record.run.stage == "search"}
    for of, rows in trials.table.items():
        trials.findings += [*_doubled(of.key, rows), *_undrawn(of.key, rows, running)]
        for row in current(rows).values():
            record = searched.pop(_uid(study, of, row), None)
            trials.findings += [] if running else _judged(study, folder, of.key, row, record)
    for record in searched.values():
        what = f"{record.run.cell} {record.run.name} is in the records, but has no row"
        trials.findings += [] if running else [Finding("damage", "trial database", what, PUT_BACK)]
    return trials


def current(rows: Sequence[Entry]) -> dict[int, Entry]:
    """The last row of each trial."""
    return {row.number: row for row in rows if row.number is not None}


def _uid(study: Study, of: SearchId, row: Entry) -> str:
    assert row.number is not None
    return uid(study_hash(study), Cell(of.workload, row.method).key, row.number, tuning_seed(of.replicate))


def _doubled(key: str, rows: Sequence[Entry]) -> Iterator[Finding]:
    last = current(rows)
    for row in rows:
        failed = row.told is not None and row.told.outcome == "failed"
        if row.number is not None and row is not last[row.number] and not failed:
            yield Finding("damage", _place(key, row), f"row {row.row} is a second one of this trial", PUT_BACK)


def _undrawn(key: str, rows: Sequence[Entry], running: bool) -> Iterator[Finding]:
    for row in rows:
        if row.open and row.number is None and not running:
            what = f"row {row.row} was interrupted before its settings were drawn"
            yield Finding("note", f"trial database, {key}", what, "vaestudy resume draws them anew")


def _judged(study: Study, folder: Path, key: str, row: Entry, record: RunRecord | None) -> Iterator[Finding]:
    """One trial's row against its record, when no driver runs."""
    end = record.end if record else None
    place = _place(key, row)
    if row.open:
        if end is None or end.outcome in ("failed", "cancelled"):
            yield Finding("note", place, "is open", f"go on with it: vaestudy resume {study.name}")
        else:
            value = end.metrics.get("final/val_nelbo")
            tell = partial(_settle, study, folder, key, row.number, end.outcome, value, end.reason)
            yield Finding("damage", place, f"has ended ({end.outcome}), but was not told", BY_REPAIR, tell)
    elif row.told is None:
        yield Finding("damage", place, "was ended by another program", PUT_BACK)
    elif end is None and row.told.outcome != "failed":
        what = f"was told {row.told.outcome}, but its records are gone or have no end"
        remedy = f"run it again, with the same numbers: vaestudy resume {study.name}"
        yield Finding("damage", place, what, remedy, resumable=True)
    elif end is not None and end.outcome != row.told.outcome:
        yield Finding("damage", place, f"was told {row.told.outcome}, its record says {end.outcome}", PUT_BACK)
    elif end is not None and end.outcome == "done" and end.metrics.get("final/val_nelbo") != row.told.value:
        found = end.metrics.get("final/val_nelbo")
        yield Finding("damage", place, f"was told {row.told.value} nats, its record says {found}", PUT_BACK)


def _settle(study: Study, folder: Path, key: str, *told: object) -> None:
    with closing(open_storage(study.storage.optuna, folder)) as storage:
        settle(storage, f"{study.name}/{key}", *told)  # type: ignore[arg-type]  # number, outcome, value, reason


def _place(key: str, row: Entry) -> str:
    return f"trial database, {key} #{row.number:03d}"
