"""What the comparison says, and what it refuses to say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.made_up import Builder, study
from vaestudy import analysis
from vaestudy.analysis.compare import Row
from vaestudy.analysis.frames import load_parquet
from vaestudy.errors import DataError, UsageError
from vaestudy.records import read_runs


def clear(results: Path) -> Builder:
    """sgd clearly better than adam, one search trial of adam diverged."""
    builder = Builder(results)
    builder.search("sgd", [31.0, 30.0, 33.0])
    builder.search("adam", [36.0, None, 35.0])
    builder.confirm("sgd", 1, [29.9, 30.0, 30.1, 30.0])
    builder.confirm("adam", 2, [35.0, 34.8, 35.1, 35.2])
    return builder


def row(builder: Builder, method: str) -> Row:
    rows = analysis.compare(analysis.load(builder.folder)).rows
    return next(found for found in rows if found.method == method)


def test_a_clear_winner_is_named(tmp_path: Path) -> None:
    comparison = analysis.compare(analysis.load(clear(tmp_path).folder))
    assert [found.method for found in comparison.rows] == ["sgd", "adam"]
    assert "sgd reaches the lowest test NLL, 30.00 nats per image, ahead of every other method" in comparison.answers[0]


def test_nobody_wins_where_the_seeds_cannot_tell(tmp_path: Path) -> None:
    builder = Builder(tmp_path)
    for method, values in (("sgd", [30.0, 31.0, 30.5, 29.0]), ("adam", [30.2, 30.4, 30.1, 30.3])):
        builder.search(method, [30.0, 31.0, 32.0])
        builder.confirm(method, 0, values)
    answer = analysis.compare(analysis.load(builder.folder)).answers[0]
    assert "4 seeds cannot tell it apart from" in answer
    assert "ahead" not in answer


def test_six_good_seeds_and_four_collapsed_are_a_rate_and_a_mean_of_the_rest(tmp_path: Path) -> None:
    """The published 38.46 +- 12.47 was six seeds at 28.8 and four at 52.9."""
    builder = Builder(tmp_path, study(seeds=10))
    builder.search("sgd", [28.8, 30.0, 30.0])
    builder.confirm("sgd", 0, [28.79, 28.8, 28.81, 28.8, 28.82, 28.78, 52.9, 52.9, 52.91, 52.9])
    found = row(builder, "sgd")
    assert found.nll.estimate == pytest.approx(28.80, abs=0.005)
    assert found.nll.n == 6
    rate = found.confirm_failures["collapsed"]
    assert (rate.estimate, rate.n) == (0.4, 10)
    assert (rate.low, rate.high) == pytest.approx((0.1216, 0.7376), abs=1e-4)
    assert found.bimodal
    shown = analysis.report(builder.folder)
    assert "40 % [12, 74]" in shown.rows[0]
    assert "38.4" not in str(shown)
    assert any("two groups" in note for note in shown.notes)


def test_the_winner_is_chosen_by_validation_among_the_first_trials(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(trials=3, confirm={"budgets": [1, 3], "seeds": 2, "iwae_samples": 10}))
    builder.search("sgd", [31.0, 33.0, 30.0])
    builder.confirm("sgd", 0, [31.0, 31.1])
    builder.confirm("sgd", 2, [30.0, 30.1])
    rows = [r for r in analysis.compare(analysis.load(builder.folder)).rows if r.method == "sgd"]
    assert [(r.budget, r.winner, round(r.nll.estimate, 2)) for r in rows] == [(1, 0, 31.05), (3, 2, 30.05)]


def test_failures_of_the_search_are_counted_and_failed_infrastructure_is_not(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(trials=4))
    builder.search("adam", [35.0, None, 49.9, None], {3: "failed"})
    found = row(builder, "adam")
    assert found.trials == {"done": 2, "diverged": 1, "failed": 1}
    assert found.search_failures["diverged"].estimate == pytest.approx(1 / 3)
    assert found.search_failures["collapsed"].n == 3


def test_the_difference_to_the_baseline_is_paired_and_says_what_could_be_seen(tmp_path: Path) -> None:
    found = row(clear(tmp_path), "sgd")
    assert found.difference is not None
    assert found.difference.estimate == pytest.approx(-5.025)
    assert found.detectable > 0
    assert row(Builder(tmp_path / "b"), "adam").difference is None


def test_the_best_setting_has_the_searched_values_only(tmp_path: Path) -> None:
    assert row(clear(tmp_path), "sgd").setting == {"lr": pytest.approx(0.05)}


def test_an_empty_study_says_that_there_is_nothing_yet(tmp_path: Path) -> None:
    shown = analysis.report(Builder(tmp_path).folder)
    assert "not enough confirmed runs" in shown.answers[0]


def test_a_second_export_is_byte_identical(tmp_path: Path) -> None:
    folder = clear(tmp_path).folder
    first = {p.name: p.read_bytes() for p in analysis.export(folder, analysis.FORMATS, tmp_path / "one")}
    second = {p.name: p.read_bytes() for p in analysis.export(folder, analysis.FORMATS, tmp_path / "two")}
    assert first == second
    assert {"comparison.csv", "comparison.tex", "comparison.md", "report.html", "runs.parquet", "comparison.png"} <= set(first)


def test_the_comparison_can_be_rebuilt_from_parquet_alone(tmp_path: Path) -> None:
    folder = clear(tmp_path).folder
    analysis.export(folder, ["parquet"], tmp_path / "out")
    assert analysis.compare(load_parquet(tmp_path / "out")) == analysis.compare(analysis.load(folder))


def test_the_csv_has_every_run_and_the_numbers_behind_the_table(tmp_path: Path) -> None:
    analysis.export(clear(tmp_path).folder, ["csv"], tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "runs.csv")) == 14
    numbers = pd.read_csv(tmp_path / "out" / "comparison.csv").set_index("method")
    assert numbers.loc["sgd", "test_nll_nats"] == pytest.approx(30.0)
    assert numbers.loc["sgd", "test_nll_nats_n"] == 4


def test_the_latex_table_sets_the_best_in_bold_and_escapes_what_tex_would_read(tmp_path: Path) -> None:
    analysis.export(clear(tmp_path).folder, ["tex"], tmp_path / "out")
    text = (tmp_path / "out" / "comparison.tex").read_text()
    assert r"\toprule" in text
    assert r"\textbf{30.00 $\pm$ 0.13}" in text
    assert r"\%" in text
    assert "±" not in text


def test_the_page_needs_no_network_and_escapes_names(tmp_path: Path) -> None:
    builder = Builder(tmp_path, study(description="<script>alert(1)</script>"))
    analysis.export(builder.folder, ["html"], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "http" not in page


def test_an_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'csv'"):
        analysis.export(clear(tmp_path).folder, ["cvs"], tmp_path / "out")


def test_a_runs_figures_are_pictures(tmp_path: Path) -> None:
    folder = clear(tmp_path).folder
    record = next(r for r in read_runs(folder) if r.run.stage == "confirm")
    made = analysis.run_figures(record, folder / "runs" / record.run.uid / "attempt-1")
    assert set(made) == {"learning_curve.png", "kl_per_dimension.png", "reconstructions.png", "prior_samples.png"}
    assert all(content.startswith(b"\x89PNG") for content in made.values())


def test_facts_that_are_damaged_are_named(tmp_path: Path) -> None:
    folder = clear(tmp_path).folder
    (folder / "study.json").write_text("{")
    with pytest.raises(DataError, match=r"study\.json"):
        analysis.load(folder)
