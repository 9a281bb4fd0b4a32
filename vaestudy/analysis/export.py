"""A study's tables and figures as files; from the records alone, byte-identical on a second run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vaestudy.analysis.drawing import render
from vaestudy.analysis.figures import study_figures
from vaestudy.analysis.findings import Importance, findings
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.outcome_figures import outcome_figures
from vaestudy.analysis.page import page
from vaestudy.analysis.stored import as_stored, facts_file
from vaestudy.analysis.table_files import FORMATS, check_formats, table_files, write_files
from vaestudy.records import check_links


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
    check_formats(formats)
    check_links(folder)
    return write_files(out, tables_and_figures(as_stored(load(folder)), formats, importance=importance))


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
    files |= table_files(formats, records, found.comparison)
    if "html" in formats:
        files["report.html"] = page(records, found, pngs)
    return files
