"""From records to tables and figures. Needs neither torch nor ray nor optuna nor mlflow, and no server."""

from pathlib import Path

from vaestudy.analysis.compare import Comparison, compare
from vaestudy.analysis.export import FORMATS, export
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.run_figures import run_figures
from vaestudy.analysis.statistics import best_winner, winner
from vaestudy.analysis.tables import Report
from vaestudy.analysis.tables import report as make_report


def report(folder: Path) -> Report:
    """The report of the study in ``folder``, for a terminal."""
    records = load(folder)
    return make_report(records, compare(records))


__all__ = [
    "FORMATS",
    "Comparison",
    "Records",
    "Report",
    "best_winner",
    "compare",
    "export",
    "load",
    "report",
    "run_figures",
    "winner",
]
