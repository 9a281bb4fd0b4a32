"""From records to tables and figures. Needs neither torch nor ray nor optuna nor mlflow, and no server."""

from pathlib import Path

from vaestudy.analysis.across import HEADER, Across, across
from vaestudy.analysis.bundle import bundle
from vaestudy.analysis.compare import Comparison, compare, trials
from vaestudy.analysis.export import FORMATS, export, export_tables, plain_tables
from vaestudy.analysis.findings import Findings, Importance, findings
from vaestudy.analysis.frames import Records, column, load
from vaestudy.analysis.protocol import Reference
from vaestudy.analysis.run_figures import run_figures
from vaestudy.analysis.spaces import space
from vaestudy.analysis.statistics import best_winner, winner
from vaestudy.analysis.stored import as_stored, open_records
from vaestudy.analysis.tables import Report
from vaestudy.analysis.tables import report as make_report


def report(folder: Path) -> tuple[Report, Findings]:
    """The report of the study in ``folder`` for a terminal, and all findings."""
    records = load(folder)
    found = findings(records)
    return make_report(records, found.comparison), found


__all__ = [
    "FORMATS",
    "HEADER",
    "Across",
    "Comparison",
    "Findings",
    "Importance",
    "Records",
    "Reference",
    "Report",
    "across",
    "as_stored",
    "best_winner",
    "bundle",
    "column",
    "compare",
    "export",
    "export_tables",
    "load",
    "open_records",
    "plain_tables",
    "report",
    "run_figures",
    "space",
    "trials",
    "winner",
]
