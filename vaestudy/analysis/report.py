"""What a study has found, for a terminal."""

from __future__ import annotations

from pathlib import Path

from vaestudy.analysis.findings import Findings, findings
from vaestudy.analysis.frames import load
from vaestudy.analysis.tables import Report
from vaestudy.analysis.tables import report as make_report


def report(folder: Path) -> tuple[Report, Findings]:
    """The report of the study in ``folder``, and all findings."""
    records = load(folder)
    found = findings(records)
    return make_report(records, found.comparison), found
