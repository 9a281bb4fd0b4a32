"""Whether the tables in ``report/`` are those that the records give now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vaestudy.analysis.compare import compare
from vaestudy.analysis.frames import load
from vaestudy.analysis.stored import as_stored
from vaestudy.analysis.table_files import table_files
from vaestudy.errors import DataError
from vaestudy.spec import Study
from vaestudy.study.doctor.finding import Finding
from vaestudy.study.folder import StudyFolder
from vaestudy.study.reports import reporter


def examine_tables(study: Study, folder: StudyFolder, complete: bool) -> Iterator[Finding]:
    """The tables of a study with sound records; figures and pages are made with them and are not looked at.

    Args:
        complete: every planned run has ended; before, tables may be older than the records.
    """
    if not complete and not folder.report.is_dir():
        return
    try:
        records = as_stored(load(folder.path))
    except DataError:  # study.json or a spool is damaged, which others have named
        return
    made = table_files(study.report.formats, records, compare(records))
    made.pop("study.json", None)  # has the number of the study in MLflow, which may be sent anew
    stale = [name for name, content in made.items() if not _holds(folder.report / name, content)]
    if stale:
        shown = ", ".join(stale[:3]) + (f" and {len(stale) - 3} more" if stale[3:] else "")
        remedy = f"vaestudy export {study.name}"
        export = (lambda: reporter(study)(folder)) if complete else None
        yield Finding("damage" if complete else "note", "report", f"stale or missing: {shown}", remedy, export)


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content
