"""From records to tables and figures. Needs neither torch nor ray nor optuna nor mlflow, and no server."""

from pathlib import Path

from vaestudy.analysis.across import HEADER, Across, across
from vaestudy.analysis.bundle import bundle
from vaestudy.analysis.compare import Comparison, compare
from vaestudy.analysis.export import FORMATS, export
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.protocol import Reference
from vaestudy.analysis.run_figures import run_figures
from vaestudy.analysis.statistics import best_winner, winner
from vaestudy.analysis.stored import open_records
from vaestudy.analysis.tables import Report
from vaestudy.analysis.tables import report as make_report


def report(folder: Path) -> Report:
    """The report of the study in ``folder``, for a terminal."""
    records = load(folder)
    return make_report(records, compare(records))


__all__ = [
    "FORMATS",
    "HEADER",
    "Across",
    "Comparison",
    "Records",
    "Reference",
    "Report",
    "across",
    "best_winner",
    "bundle",
    "compare",
    "export",
    "load",
    "open_records",
    "report",
    "run_figures",
    "winner",
]
