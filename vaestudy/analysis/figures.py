"""Figures: colour-blind-safe, readable in print, made with matplotlib's objects, no global state."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaestudy.analysis.compare import Comparison, by_seed, confirmed, sound
from vaestudy.analysis.frames import Records
from vaestudy.analysis.statistics import expected_best
from vaestudy.records import RunRecord

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#999999")
MARKERS = "osD^vPX*"


def study_figures(records: Records, comparison: Comparison) -> dict[str, Figure]:
    """The study's figures by name, those for which there are data."""
    figures = {
        "comparison": comparison_figure(records, comparison),
        "learning_curves": learning_curves(records, comparison),
        "best_of_n": best_of_n(records),
    }
    return {name: figure for name, figure in figures.items() if figure.axes}


def render(figure: Figure, form: str) -> bytes:
    """A figure as ``png`` or ``svg``, the same bytes every time."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "vaestudy", "svg.fonttype": "none"}):
        figure.savefig(buffer, format=form, metadata={"Date": None} if form == "svg" else {"Software": None})
    return buffer.getvalue()


def comparison_figure(records: Records, comparison: Comparison) -> Figure:
    """Each method's test NLL: every seed, the mean and its 95 % interval; the trivial model as a line."""
    places = list(dict.fromkeys((row.workload, row.budget) for row in comparison.rows))
    figure = _sheet(6.4, 0.9 + 1.9 * len(places))
    for index, (workload, budget) in enumerate(places):
        axes = figure.add_subplot(len(places), 1, index + 1)
        rows = [row for row in comparison.rows if (row.workload, row.budget) == (workload, budget)]
        for y, row in enumerate(rows):
            colour, marker = look(records, row.method)
            _, runs = confirmed(records, workload, row.method, budget)
            good, all_seeds = by_seed(sound(runs), "final/test_nll"), by_seed(runs, "final/test_nll")
            failed = [value for seed, value in all_seeds.items() if seed not in good]
            axes.plot(list(good.values()), [y] * len(good), marker, color=colour, alpha=0.35, markersize=5, lw=0)
            axes.plot(failed, [y] * len(failed), "x", color=colour, markersize=6, lw=0)
            if row.nll.n >= 2:
                half = row.nll.half_width
                axes.errorbar(row.nll.estimate, y, xerr=half, fmt=marker, color=colour, capsize=3, markersize=7)
        axes.set_yticks(range(len(rows)), [row.method for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_title(f"{workload}, best of {budget} trials", fontsize="medium", loc="left")
        _plain(axes)
    figure.axes[-1].set_xlabel(f"test NLL, IWAE-{comparison.iwae_samples} [nats per image]   (lower is better; x: collapsed)")
    return figure


def learning_curves(records: Records, comparison: Comparison) -> Figure:
    """Validation −ELBO of the confirmed winners over gradient evaluations: mean and range over seeds."""
    budget = records.budgets[-1]
    workloads = list(records.study["workloads"])
    figure = _sheet(6.4, 3.4 * len(workloads))
    for index, workload in enumerate(workloads):
        axes = figure.add_subplot(len(workloads), 1, index + 1)
        ends, trivial = [], np.nan
        for method in records.methods:
            runs = confirmed(records, workload, method, budget)[1]
            curves = _curves(records, sound(runs))
            if curves.empty:
                continue
            colour, marker = look(records, method)
            mean, low, high = curves.mean(axis=1), curves.min(axis=1), curves.max(axis=1)
            axes.plot(mean.index, mean, color=colour, marker=marker, markevery=0.15, markersize=4, label=method)
            axes.fill_between(mean.index, low, high, color=colour, alpha=0.2, lw=0)
            ends.append(float(mean.iloc[-1]))
            trivial = float(runs["final/l_trivial"].mean())
        if not ends:
            figure.delaxes(axes)
            continue
        axes.axhline(trivial, color="0.4", ls=":", lw=1, label="best constant decoder")
        axes.set_ylim(min(ends) - 0.15 * (trivial - min(ends)), trivial + 0.6 * (trivial - min(ends)))
        axes.set(xlabel="gradient evaluations", ylabel="validation −ELBO [nats per image]")
        axes.set_title(workload, fontsize="medium", loc="left")
        _legend(axes)
        _plain(axes)
    return figure


def best_of_n(records: Records) -> Figure:
    """The expected best validation −ELBO of n trials: what more tuning buys each method."""
    workloads = list(records.study["workloads"])
    figure = _sheet(6.4, 3.2 * len(workloads))
    for index, workload in enumerate(workloads):
        axes = figure.add_subplot(len(workloads), 1, index + 1)
        for method in records.methods:
            runs = records.runs
            mine = runs[(runs["workload"] == workload) & (runs["method"] == method) & (runs["stage"] == "search")]
            values = _capped(mine)
            if len(values):
                colour, marker = look(records, method)
                curve = expected_best(values)
                axes.plot(range(1, len(curve) + 1), curve, color=colour, marker=marker, markersize=4, label=method)
        if not axes.lines:
            figure.delaxes(axes)
            continue
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="trials n", ylabel="expected best validation −ELBO\n[nats per image]")
        axes.set_title(workload, fontsize="medium", loc="left")
        _legend(axes)
        _plain(axes)
    return figure


def _capped(search: pd.DataFrame) -> list[float]:
    """L_val of every trial; one that failed or was stopped counts as the trivial model, which anybody can have."""
    if "final/val_nelbo" not in search:
        return []
    trivial = search["final/l_trivial"].max()
    values = search["final/val_nelbo"].where(search["outcome"] == "done").fillna(trivial).clip(upper=trivial)
    return [float(value) for value in values.dropna()]


def _curves(records: Records, runs: pd.DataFrame) -> pd.DataFrame:
    """Validation −ELBO by gradient evaluations (rows) and run (columns)."""
    rows = records.metrics[records.metrics["uid"].isin(runs["uid"])]
    table = rows[rows["metric"].isin(["val/nelbo", "cost/grad_evals"])].pivot_table(
        index=["uid", "step"], columns="metric", values="value"
    )
    if "val/nelbo" not in table:
        return pd.DataFrame()
    flat = table.reset_index()
    return flat.pivot_table(index="cost/grad_evals", columns="uid", values="val/nelbo").dropna()


def run_figures(record: RunRecord, folder: Path) -> Mapping[str, bytes]:
    """One run's figures as PNG by name: its curve, its KL per dimension, and, where it left pictures,
    reconstructions and prior samples. ``folder`` is its attempt's."""
    figures = {}
    if len(record.reports) > 1:
        figures = {"learning_curve.png": _run_curve(record), "kl_per_dimension.png": _run_kl(record)}
    if (folder / "outputs.npz").exists():
        with np.load(folder / "outputs.npz", allow_pickle=False) as outputs:
            pairs = np.stack([outputs["originals"], outputs["reconstructions"]], axis=1)
            figures["reconstructions.png"] = _grid(
                pairs.reshape(-1, *pairs.shape[2:]), 8, f"{record.run.name}: originals, each beside its reconstruction"
            )
            figures["prior_samples.png"] = _grid(outputs["samples"], 8, f"{record.run.name}: means of prior samples")
    return {name: render(figure, "png") for name, figure in figures.items()}


def _run_curve(record: RunRecord) -> Figure:
    figure = _sheet(6, 3.4)
    axes = figure.add_subplot()
    reports = [report for report in record.reports if "val/nelbo" in report.metrics and report.epoch > 0]
    epochs = [report.epoch for report in reports]
    for (name, label), colour in zip(
        {"val/nelbo": "−ELBO", "val/rec": "reconstruction", "val/kl": "KL"}.items(), OKABE_ITO, strict=False
    ):
        axes.plot(epochs, [report.metrics[name] for report in reports], color=colour, label=label)
    axes.set(xlabel="epoch", ylabel="validation [nats per image]", title=record.run.name)
    axes.legend(frameon=False)
    _plain(axes)
    return figure


def _run_kl(record: RunRecord) -> Figure:
    figure = _sheet(6, 3)
    axes = figure.add_subplot()
    kl = record.reports[-1].vectors.get("val/kl_per_dimension", [])
    axes.bar(range(len(kl)), sorted(kl, reverse=True), color=OKABE_ITO[0])
    axes.set(xlabel="latent dimension, by KL", ylabel="KL [nats]", title=f"{record.run.name}: KL per dimension")
    _plain(axes)
    return figure


def _grid(images: npt.NDArray[np.float32], columns: int, title: str) -> Figure:
    """Images in [0, 1] ``[n, height, width]`` side by side, dark ink on white."""
    count, height, width = images.shape
    rows = -(-count // columns)
    sheet = np.zeros((rows * (height + 1) + 1, columns * (width + 1) + 1), dtype=float)
    for index, image in enumerate(images):
        y, x = divmod(index, columns)
        sheet[y * (height + 1) + 1 : (y + 1) * (height + 1), x * (width + 1) + 1 : (x + 1) * (width + 1)] = image
    figure = _sheet(6, 0.4 + 6 * sheet.shape[0] / sheet.shape[1])
    axes = figure.add_subplot()
    axes.imshow(sheet, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize="medium")
    axes.set_axis_off()
    return figure


def _sheet(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def look(records: Records, method: str) -> tuple[str, str]:
    """A method's colour and marker, the same in every figure."""
    index = records.methods.index(method)
    return OKABE_ITO[index % len(OKABE_ITO)], MARKERS[index % len(MARKERS)]


def _legend(axes: Axes) -> None:
    """A legend beside the data, never over them."""
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis="both", color="0.9", lw=0.6)
    axes.set_axisbelow(True)
