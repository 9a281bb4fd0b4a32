"""What a study leaves in its report folder at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.made_up import Builder, study
from vaestudy.study.folder import StudyFolder
from vaestudy.study.reports import reporter


@pytest.mark.parametrize("figures", [True, False])
def test_figures_and_the_page_are_made_unless_the_study_does_without(tmp_path: Path, figures: bool) -> None:
    builder = Builder(tmp_path, study(trials=2, seeds=2, report={"baseline": "adam", "figures": figures}))
    for method, value in (("sgd", 30.0), ("adam", 35.0)):
        builder.search(method, [value + 1, value])
        builder.confirm(method, 1, [value, value + 0.1])
    reporter(builder.study)(StudyFolder(builder.folder))
    kinds = {path.suffix for path in (builder.folder / "report").iterdir()}
    tables = {".csv", ".parquet", ".md", ".tex", ".json"}
    assert kinds == tables | {".html", ".png", ".svg"} if figures else kinds == tables
