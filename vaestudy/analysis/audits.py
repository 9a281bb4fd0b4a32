"""Audits: what a sceptical reader would ask of a comparison, one line each with its number (protocol, rules 4, 11)."""

from __future__ import annotations

from vaestudy.analysis.compare import Comparison
from vaestudy.analysis.design_audits import Audit, design_audits
from vaestudy.analysis.frames import Records
from vaestudy.analysis.outcome_audits import outcome_audits


def audits(records: Records, comparison: Comparison) -> list[Audit]:
    """Every audit of a study, in the order of the report."""
    found = list(design_audits(records))
    for workload in records.study["workloads"]:
        found += outcome_audits(records, comparison, workload)
    return found
