"""A study's tables as files; from the records alone, byte-identical on a second run. Needs nothing that draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from vaestudy.analysis import tables
from vaestudy.analysis.compare import Comparison, compare
from vaestudy.analysis.curves import curves
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.stored import as_stored, facts_file, parquet, record_files
from vaestudy.errors import DiskError, UsageError, nearest
from vaestudy.records import check_links

FORMATS = ("csv", "parquet", "md", "tex", "html")


def export_tables(folder: Path, formats: Sequence[str], out: Path) -> list[Path]:
    """Writes what ``export.export`` does, but for the figures and the page: of 10,000 trials in seconds.

    Args:
        formats: of csv, parquet, md, tex.

    Raises:
        UsageError: a format is unknown, or needs figures.
        DataError: the folder holds a link.
        DiskError: ``out`` cannot be written.
    """
    check_formats(formats)
    check_links(folder)
    if "html" in formats:
        raise UsageError("html holds figures; leave it out of --format, or leave out --tables")
    records = as_stored(load(folder))
    return write_files(out, {**facts_file(records), **table_files(formats, records, compare(records))})


def table_files(formats: Sequence[str], records: Records, comparison: Comparison) -> dict[str, bytes]:
    """The contents of the files that need no figures, by their paths: all of ``formats`` but html."""
    shown = tables.report(records, comparison)
    frames = {"comparison": tables.numbers(comparison), "curves": curves(records), "runs": records.runs}
    files: dict[str, bytes] = {}
    if "csv" in formats:
        files |= {f"{name}.csv": _csv(frame) for name, frame in frames.items()}
    if "parquet" in formats:
        files |= {f"{name}.parquet": parquet(frames[name]) for name in ("comparison", "curves")}
        files |= record_files(records)
    if "md" in formats:
        files["comparison.md"] = _markdown(shown).encode()
    if "tex" in formats:
        files |= {"comparison.tex": tables.latex(shown).encode(), "search.tex": tables.search_latex(shown).encode()}
    return files


def check_formats(formats: Sequence[str]) -> None:
    """
    Raises:
        UsageError: a format is unknown.
    """
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"unknown format {name!r} - {nearest(name, FORMATS)}")


def write_files(out: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Writes each file whole or not at all; ``out`` is made if missing.

    Raises:
        DiskError: ``out`` cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            temporary = out / f".{name}.tmp"
            temporary.write_bytes(content)
            temporary.replace(out / name)
    except OSError as error:
        raise DiskError(f"cannot write in {out}: {error.strerror or error}") from error
    return [out / name for name in sorted(files)]


def _markdown(shown: tables.Report) -> str:
    answers, notes = "\n\n".join(shown.answers), "\n".join(f"- {note}" for note in shown.notes)
    main = tables.markdown(shown.header, shown.rows, shown.best)
    search = tables.markdown(shown.search.header, shown.search.rows)
    return f"# {shown.title}\n\n{shown.question}\n\n{answers}\n\n{main}\n{notes}\n\n## {shown.search.title}\n\n{search}"


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()
