"""The report as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping

import jinja2

from vaestudy.analysis import tables
from vaestudy.analysis.findings import Findings
from vaestudy.analysis.frames import Records
from vaestudy.analysis.sections import Builder


def page(records: Records, found: Findings, pngs: Mapping[str, bytes]) -> bytes:
    """The page of a study.

    Args:
        pngs: the study's figures by name.
    """
    loader = jinja2.PackageLoader("vaestudy.analysis")
    template = jinja2.Environment(loader=loader, autoescape=True).get_template("report.html")
    report = tables.report(records, found.comparison)
    sections = [section for section in Builder(records, found, pngs).sections(report) if section.filled]
    return template.render(report=report, sections=sections, hash=records.facts["hash"]).encode()
