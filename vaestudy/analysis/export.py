"""A study's tables and figures as files; from the records alone, byte-identical on a second run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from vaestudy.analysis import tables
from vaestudy.analysis.compare import Comparison, compare
from vaestudy.analysis.curves import curves
from vaestudy.analysis.drawing import render
from vaestudy.analysis.figures import study_figures
from vaestudy.analysis.findings import Findings, Importance, findings
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.outcome_figures import outcome_figures
from vaestudy.analysis.page import page
from vaestudy.analysis.stored import as_stored, facts_file, parquet, record_files
from vaestudy.errors import DiskError, UsageError, nearest
from vaestudy.records import check_links

FORMATS = ("csv", "parquet", "md", "tex", "html")


def export(folder: Path, formats: Sequence[str], out: Path, importance: Importance | None = None) -> list[Path]:
    """Writes the comparison in each format, the runs and metrics where a format holds data, and the figures.

    Args:
        folder: the study's.
        formats: of csv, parquet, md, tex, html.
        out: where to write; made if missing.
        importance: computes the importance of searched settings.

    Returns:
        What was written.

    Raises:
        UsageError: a format is unknown.
        DataError: the folder holds a link.
        DiskError: ``out`` cannot be written.
    """
    _check(formats)
    check_links(folder)
    return _write(out, tables_and_figures(as_stored(load(folder)), formats, importance=importance))


def export_tables(folder: Path, formats: Sequence[str], out: Path) -> list[Path]:
    """Writes what ``export`` does, but for the figures and the page: of 10,000 trials in seconds.

    Args:
        formats: of csv, parquet, md, tex.

    Raises:
        UsageError: a format is unknown, or needs figures.
        DataError: the folder holds a link.
        DiskError: ``out`` cannot be written.
    """
    _check(formats)
    check_links(folder)
    if "html" in formats:
        raise UsageError("html holds figures; leave it out of --format, or leave out --tables")
    records = as_stored(load(folder))
    return _write(out, {**facts_file(records), **plain_tables(records, formats)})


def _check(formats: Sequence[str]) -> None:
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"unknown format {name!r} - {nearest(name, FORMATS)}")


def tables_and_figures(
    records: Records, formats: Sequence[str] = FORMATS, figures: str = "", importance: Importance | None = None
) -> dict[str, bytes]:
    """The contents of the files by their paths; ``figures`` begins those of the figures, e.g. ``figures/``."""
    found = findings(records, importance)
    drawn = {**study_figures(records, found.comparison), **outcome_figures(records, found)}
    pngs = {name: render(figure, "png") for name, figure in drawn.items()}
    files = facts_file(records)
    files |= {f"{figures}{name}.png": png for name, png in pngs.items()}
    files |= {f"{figures}{name}.svg": render(figure, "svg") for name, figure in drawn.items()}
    for name in formats:
        files |= _tables(name, records, found, pngs)
    return files


def plain_tables(records: Records, formats: Sequence[str]) -> dict[str, bytes]:
    """The contents of the files that need no figures, by their paths: all of ``formats`` but html."""
    comparison = compare(records)
    wanted = [name for name in formats if name != "html"]
    return {path: content for name in wanted for path, content in _plain(name, records, comparison).items()}


def _tables(form: str, records: Records, found: Findings, pngs: dict[str, bytes]) -> dict[str, bytes]:
    if form == "html":
        return {"report.html": page(records, found, pngs)}
    return _plain(form, records, found.comparison)


def _plain(form: str, records: Records, comparison: Comparison) -> dict[str, bytes]:
    shown = tables.report(records, comparison)
    frames = {"comparison": tables.numbers(comparison), "curves": curves(records), "runs": records.runs}
    if form == "csv":
        return {f"{name}.csv": _csv(frame) for name, frame in frames.items()}
    if form == "parquet":
        made = {f"{name}.parquet": parquet(frames[name]) for name in ("comparison", "curves")}
        return {**made, **record_files(records)}
    if form == "md":
        return {"comparison.md": _markdown(shown).encode()}
    return {"comparison.tex": tables.latex(shown).encode(), "search.tex": tables.search_latex(shown).encode()}


def _markdown(shown: tables.Report) -> str:
    answers, notes = "\n\n".join(shown.answers), "\n".join(f"- {note}" for note in shown.notes)
    main = tables.markdown(shown.header, shown.rows, shown.best)
    search = tables.markdown(shown.search.header, shown.search.rows)
    return f"# {shown.title}\n\n{shown.question}\n\n{answers}\n\n{main}\n{notes}\n\n## {shown.search.title}\n\n{search}"


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()


def _write(out: Path, files: dict[str, bytes]) -> list[Path]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            temporary = out / f".{name}.tmp"
            temporary.write_bytes(content)
            temporary.replace(out / name)
    except OSError as error:
        raise DiskError(f"cannot write in {out}: {error.strerror or error}") from error
    return [out / name for name in sorted(files)]
