"""One look at everything, and repairs until nothing more can be repaired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from vaestudy.errors import VaestudyError
from vaestudy.records import check_links
from vaestudy.spec import Study, study_hash
from vaestudy.study.doctor.facts import facts
from vaestudy.study.doctor.finding import Finding, Repair
from vaestudy.study.doctor.plans import rewrite_plan
from vaestudy.study.doctor.remains import examine_checkpoints, examine_remains, examine_room
from vaestudy.study.doctor.runs import Records, examine_runs
from vaestudy.study.doctor.tables import examine_tables
from vaestudy.study.doctor.trials import examine_trials
from vaestudy.study.doctor.window import examine_window
from vaestudy.study.folder import StudyFolder
from vaestudy.study.ship import alone, shipping
from vaestudy.study.status import make
from vaestudy.study.working_copy import WorkingCopy

PASSES = 5
"""A repair may bring to light what the damage hid, as stale tables behind a damaged spool."""


@dataclass(frozen=True)
class Visit:
    """What was found, and of that what was repaired; ``left`` is what a last look still found."""

    repaired: tuple[Finding, ...]
    left: tuple[Finding, ...]

    @property
    def damage(self) -> list[Finding]:
        """The damage that is left."""
        return [finding for finding in self.left if finding.severity == "damage"]


def examine(folder: StudyFolder) -> Visit:
    """Everything that is wrong with a study; changes nothing."""
    running = folder.running
    return Visit((), tuple(_findings(folder, running, running or shipping(folder))))


def repair(folder: StudyFolder) -> Visit:
    """Repairs what can be repaired.

    Raises:
        ConflictError: a driver runs the study.
        DataError: the folder holds a link.
    """
    check_links(folder.path)
    repaired: list[Finding] = []
    with folder.lock(), WorkingCopy.driving(folder.path, folder.store), alone(folder):
        # A shipper that is still at work gives way to whoever has the lock.
        found = list(_findings(folder))
        for _ in range(PASSES):
            due = [finding for finding in found if finding.repair and finding not in repaired]
            if not due:
                break
            failures = _done(due)
            repaired += due
            found = [*_findings(folder), *failures]
    return Visit(tuple(finding for finding in repaired if finding not in found), tuple(found))


def _done(findings: list[Finding]) -> list[Finding]:
    """Does each repair once, however many findings share it; those that failed."""
    failures = []
    repairs: dict[Repair, Finding] = {finding.repair: finding for finding in findings if finding.repair}
    for action, finding in repairs.items():
        try:
            action()
        except (VaestudyError, OSError) as error:
            failures.append(Finding("warning", finding.place, "could not be repaired", str(error)))
    return failures


def _findings(folder: StudyFolder, running: bool = False, behind: bool = False) -> Iterator[Finding]:
    """All of it; what a driver at work, or a shipper that is behind, is about to write is not missed."""
    if running:
        yield Finding("note", "lock", f"a driver runs the study: {folder.driver}")
    yield from examine_room(folder)
    told = facts(folder)
    yield from told.findings
    if not running:
        yield from examine_remains(folder.path)
    if told.study is not None:
        yield from _of(told.study, folder, running, behind)


def _of(study: Study, folder: StudyFolder, running: bool, behind: bool) -> Iterator[Finding]:
    """What is to be said once it is known which study this is."""
    records = examine_runs(
        folder.path, study_hash(study), running, lambda uid: partial(rewrite_plan, study, folder.path, uid)
    )
    yield from records.findings
    trials = examine_trials(study, folder.path, records.sound, running)
    yield from trials.findings
    yield from examine_window(study, folder, records.sound, records.folders, behind)
    if running:
        return
    yield from examine_checkpoints(folder.path, records.sound, study_hash(study))
    progress = _progress(study, records)
    if progress[0] < progress[1]:
        what = f"{progress[0]} of {progress[1]} runs have ended"
        yield Finding("note", "study", what, f"go on with: vaestudy resume {study.name}")
    yield from examine_tables(study, folder, progress[0] >= progress[1])


def _progress(study: Study, records: Records) -> tuple[int, int]:
    """The runs that have ended, of so many."""
    ended = [(record.run, record.end) for record in records.sound.values() if record.end]
    made = make(study, "interrupted", ended, [], 0.0, len(ended))
    return made.finished_runs, made.planned_runs
