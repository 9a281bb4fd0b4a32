from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.analysis.values import around
from tests.made_up import TRIVIAL, Builder, study
from vaestudy.analysis.compare import compare
from vaestudy.analysis.drawing import OKABE_ITO, look, render
from vaestudy.analysis.figures import best_of_n, comparison_figure, learning_curves, study_figures
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.run_figures import run_figures
from vaestudy.records import RunRecord, attempt_folder, read_runs


@pytest.fixture(scope="module")
def records(two_groups: Builder) -> Records:
    return load(two_groups.folder)


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_the_comparison_shows_every_seed_of_every_method(records: Records) -> None:
    (axes,) = comparison_figure(records, compare(records)).axes
    points = [x for line in axes.lines for x in line.get_xdata() if line.get_ls() == "None" and line.get_ms() < 7]
    assert sum(27 < x < 30 for x in points) >= 16
    assert sum(x == 52.9 for x in points) == 14
    assert [text.get_text() for text in axes.texts] == ["4/10 failed", "10/10 failed", "best constant decoder: 50.00 "]


def test_the_comparison_marks_the_best_constant_decoder(records: Records) -> None:
    (axes,) = comparison_figure(records, compare(records)).axes
    assert any(line.get_linestyle() == ":" and line.get_xdata()[0] == pytest.approx(TRIVIAL) for line in axes.lines)


def test_a_trivial_model_far_off_is_named_at_the_edge(small: Builder) -> None:
    small.search("adam", [28.0])
    small.confirm("adam", 0, around(28.0, 4))
    records = load(small.folder)
    (axes,) = comparison_figure(records, compare(records)).axes
    assert [text.get_text() for text in axes.texts] == ["best constant decoder: 50.00 →"]
    assert axes.get_xlim()[1] < 30


def test_every_axis_that_has_a_unit_says_it(records: Records) -> None:
    labels = [
        label
        for figure in study_figures(records, compare(records)).values()
        for axes in figure.axes
        for label in (axes.get_xlabel(), axes.get_ylabel())
        if "ELBO" in label or "NLL" in label
    ]
    assert labels and all("[nats per example]" in label for label in labels)


def test_learning_curves_show_failed_runs_one_by_one(records: Records) -> None:
    (axes,) = learning_curves(records).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["sgd", "sgd, failed run", "momentum, failed run", "adam", "best constant decoder"]
    assert sum(line.get_linestyle() == "--" for line in axes.lines) == 14


def test_a_diverged_seed_does_not_stop_the_learning_curves(small: Builder) -> None:
    small.search("adam", [28.0])
    small.confirm("adam", 0, [*around(28.0, 2), None])
    (axes,) = learning_curves(load(small.folder)).axes
    assert axes.get_ylim()[1] < 100


@pytest.mark.parametrize(
    ("sampler", "title", "first"),
    [
        ("random", "expected best of n trials", 30.0),
        ("tpe", "best of the first n trials", 31.0),
    ],
)
def test_the_best_of_n_is_expected_only_of_independent_trials(
    sampler: str, title: str, first: float, tmp_path: Path
) -> None:
    small = Builder(tmp_path, study(search={"trials": 3, "sampler": {"name": sampler}}))
    small.search("adam", [31.0, 30.0, 29.0])
    (axes,) = best_of_n(load(small.folder)).axes
    assert title in axes.get_title(loc="left")
    assert axes.lines[0].get_ydata()[[0, -1]] == pytest.approx([first, 29.0])


def test_a_failed_trial_costs_what_the_trivial_model_does(small: Builder) -> None:
    small.search("adam", [None, 80.0, 30.0])
    (axes,) = best_of_n(load(small.folder)).axes
    assert axes.lines[0].get_ydata()[0] == pytest.approx((TRIVIAL + TRIVIAL + 30.0) / 3)


def test_methods_have_looks_of_their_own_and_the_first_eight_colours() -> None:
    assert len({look(index) for index in range(64)}) == 64
    assert len({look(index)[0] for index in range(8)}) == len(OKABE_ITO)


@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_figure_has_the_same_bytes_every_time(records: Records, form: str) -> None:
    first, second = (render(comparison_figure(records, compare(records)), form) for _ in range(2))
    assert first == second


def confirmed_run(builder: Builder) -> tuple[RunRecord, Path]:
    builder.confirm("adam", 0, [28.0])
    (record,) = read_runs(builder.folder)
    return record, attempt_folder(builder.folder, record.run.uid, 1)


@pytest.mark.parametrize("pixels", [8, 28])
def test_a_confirmed_run_has_its_four_figures(pixels: int, small: Builder) -> None:
    record, folder = confirmed_run(small)
    images = np.random.default_rng(0).random((16, pixels, pixels), dtype=np.float32)
    np.savez(folder / "outputs.npz", originals=images, reconstructions=images, samples=np.tile(images, (4, 1, 1)))
    figures = run_figures(record, folder)
    assert set(figures) == {"learning_curve.png", "kl_per_dimension.png", "reconstructions.png", "prior_samples.png"}
    assert all(width >= 800 for width, _ in map(size, figures.values()))


def test_a_run_without_pictures_has_its_curves(small: Builder) -> None:
    record, folder = confirmed_run(small)
    (folder / "outputs.npz").unlink()
    assert set(run_figures(record, folder)) == {"learning_curve.png", "kl_per_dimension.png"}
