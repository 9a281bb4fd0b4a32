from __future__ import annotations

import io
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from tests.analysis.values import around
from tests.made_up import Builder, study
from vaestudy.analysis.compare import compare
from vaestudy.analysis.export import export
from vaestudy.analysis.frames import load, load_parquet
from vaestudy.analysis.table_files import FORMATS, export_tables
from vaestudy.errors import DataError, DiskError, UsageError
from vaestudy.records import run_uids


@pytest.fixture(scope="module")
def exported(two_groups: Builder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export")
    export(two_groups.folder, FORMATS, out)
    return out


def test_a_second_export_has_the_same_bytes(two_groups: Builder, exported: Path, tmp_path: Path) -> None:
    again = export(two_groups.folder, FORMATS, tmp_path)
    assert {path.name for path in again} == {path.name for path in exported.iterdir()}
    assert [path.name for path in again if path.read_bytes() != (exported / path.name).read_bytes()] == []


def test_every_format_has_its_files(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    assert names >= {
        "comparison.csv",
        "curves.csv",
        "runs.csv",
        "comparison.parquet",
        "metrics.parquet",
        "comparison.md",
        "comparison.tex",
        "report.html",
        "comparison.png",
        "comparison.svg",
    }


def test_only_the_wanted_tables_are_written(two_groups: Builder, tmp_path: Path) -> None:
    export(two_groups.folder, ["md"], tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".md", ".png", ".svg", ".json"}


def test_the_csv_gives_numbers_in_full_precision(exported: Path) -> None:
    table = pd.read_csv(exported / "comparison.csv").set_index("method")
    assert table.loc["sgd", "confirm_collapsed"] == 0.4
    assert table.loc["sgd", "test_nll_nats"] == pytest.approx(28.80, abs=1e-12)
    assert table.loc["momentum", "confirm_collapsed_n"] == 10


def test_the_parquet_alone_gives_the_same_comparison(two_groups: Builder, exported: Path) -> None:
    assert repr(compare(load_parquet(exported))) == repr(compare(load(two_groups.folder)))


def test_markdown_sets_the_leader_off_and_has_as_many_cells_in_every_row(exported: Path) -> None:
    lines = (exported / "comparison.md").read_text().splitlines()
    main = [line for line in lines[: lines.index("## Search trials")] if line.startswith("|")]
    assert len({line.count("|") for line in main}) == 1
    assert [line for line in main if "**" in line] == [line for line in main if line.startswith("| **adam**")]
    assert "40 % [12, 74]" in main[3]


def test_latex_is_a_booktabs_table_with_the_leader_in_bold(exported: Path) -> None:
    text = (exported / "comparison.tex").read_text()
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    columns = text[text.index(r"\begin{tabular}{") :].split("{")[2].split("}")[0]
    assert {line.count(" & ") for line in body} == {len(columns) - 1}
    assert body[0].startswith(r"\textbf{adam} & \textbf{27.83 $\pm$ ")
    assert r"40 \% [12, 74]" in body[1]
    assert text.count("{") == text.count("}")
    assert r"\\[" not in text  # LaTeX would read it as a length
    assert text.isascii()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name == "src"]
        self.links += [value or "" for name, value in attrs if name == "href"]


def test_the_page_is_whole_in_one_file(exported: Path) -> None:
    page = _Page()
    page.feed((exported / "report.html").read_text())
    assert len(page.sources) > 10
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert all(link.startswith(("data:,", "#")) for link in page.links)


def test_text_of_the_study_is_escaped_in_the_page(tmp_path: Path) -> None:
    small = Builder(tmp_path / "results", study(description="a <b> & 50 % of_it"))
    export(small.folder, ["html", "tex"], tmp_path)
    assert "a &lt;b&gt; &amp; 50 % of_it" in (tmp_path / "report.html").read_text()
    assert r"a $<$b$>$ \& 50 \% of\_it" in (tmp_path / "comparison.tex").read_text()


@pytest.fixture(scope="module")
def page_of_few_seeds(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("few")
    builder = Builder(folder / "results", study(seeds=4, target={"nats": {"w": 30.0}}))
    for method, values in {"sgd": around(29.0, 4), "adam": around(28.0, 4)}.items():
        builder.search(method, [28.0])
        builder.confirm(method, 0, values)
    shares = {"ped-anova": {"lr": (0.7, True), "eps": (0.3, False)}}
    export(builder.folder, ["html"], folder / "out", importance=lambda *_: shares)
    return (folder / "out" / "report.html").read_text()


def test_seeds_too_few_for_signed_rank_tests_are_said_to_be(page_of_few_seeds: str) -> None:
    reason = "No signed-rank tests on w: 4 seeds cannot give an adjusted p below 0.125; at 1 pair it takes 6 seeds."
    assert reason in page_of_few_seeds
    assert "undecidable" not in page_of_few_seeds


def test_an_importance_that_is_not_told_from_noise_is_said_to_be_noise(page_of_few_seeds: str) -> None:
    assert "lr 70 %, eps 30 % (noise)" in page_of_few_seeds


def test_a_study_without_results_exports_its_empty_tables(small: Builder, tmp_path: Path) -> None:
    export(small.folder, FORMATS, tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "comparison.csv")) == 2


def test_a_study_in_which_everything_failed_exports(small: Builder, tmp_path: Path) -> None:
    for method in ("sgd", "adam"):
        small.search(method, [52.9])
        small.confirm(method, 0, [52.9] * 2)
    names = {path.name for path in export(small.folder, FORMATS, tmp_path / "out")}
    assert "failure_rates.png" in names


def test_the_tables_alone_are_those_of_the_whole_export(two_groups: Builder, exported: Path, tmp_path: Path) -> None:
    written = export_tables(two_groups.folder, ["csv", "parquet", "md", "tex"], tmp_path)
    assert {path.suffix for path in written} == {".csv", ".parquet", ".md", ".tex", ".json"}
    assert [path.name for path in written if path.read_bytes() != (exported / path.name).read_bytes()] == []


def test_the_page_is_no_table(two_groups: Builder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="html holds figures"):
        export_tables(two_groups.folder, ["csv", "html"], tmp_path / "out")


def test_an_unknown_format_is_refused_before_anything_is_written(two_groups: Builder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'cvs'.*did you mean 'csv'"):
        export(two_groups.folder, ["csv", "cvs"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_named(small: Builder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="file"):
        export(small.folder, ["csv"], tmp_path / "file")


def test_a_damaged_spool_is_named(small: Builder) -> None:
    small.search("adam", [52.9])
    (uid,) = run_uids(small.folder)
    spool = small.folder / "runs" / uid / "attempt-1" / "spool.jsonl"
    spool.write_bytes(spool.read_bytes().replace(b"val/rec", b"val/wreck", 1))
    with pytest.raises(DataError, match=r"spool.jsonl:\d"):
        load(small.folder)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_damaged_facts_of_a_study_are_named(small: Builder, content: str) -> None:
    (small.folder / "study.json").write_text(content)
    with pytest.raises(DataError, match=r"study\.json"):
        load(small.folder)


LOADED = """
import sys
from pathlib import Path
from vaestudy.analysis.{module} import {name}
{name}(Path(sys.argv[1]), ["csv", "parquet", "md", "tex"], Path(sys.argv[2]))
print(*(name for name in "torch ray optuna mlflow pydantic matplotlib scipy.stats".split() if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("module", "name", "loaded"),
    [("export", "export", ["matplotlib", "scipy.stats"]), ("table_files", "export_tables", [])],
)
def test_an_export_loads_nothing_that_it_does_not_need(
    two_groups: Builder, tmp_path: Path, module: str, name: str, loaded: list[str]
) -> None:
    command = [sys.executable, "-c", LOADED.format(module=module, name=name), str(two_groups.folder), str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.split() == loaded


def test_runs_have_one_row_each_and_curves_one_value_per_evaluation(two_groups: Builder, exported: Path) -> None:
    runs = pd.read_csv(io.BytesIO((exported / "runs.csv").read_bytes()))
    assert len(runs) == 3 * (2 + 10) and runs["uid"].is_unique
    assert {"setting.lr", "final/test_nll", "outcome"} <= set(runs)
    curves = pd.read_csv(exported / "curves.csv")
    assert curves.groupby("method").size().to_dict() == {"adam": 6, "sgd": 6}
    assert set(curves["seeds"]) == {6, 10}
