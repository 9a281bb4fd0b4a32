"""Figures of how runs got there and why they failed: time to target, escape, phases, fronts, rates, pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaestudy.analysis.compare import WORDS, trials
from vaestudy.analysis.drawing import bare, legend, look, plain, sheet
from vaestudy.analysis.factorial import Factorial
from vaestudy.analysis.findings import Findings
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.outcomes import TOLERANCE_NATS, Front, Sensitivity
from vaestudy.analysis.statistics.fronts import pareto_front
from vaestudy.analysis.statistics.intervals import Interval
from vaestudy.analysis.statistics.survival import SurvivalCurve

MOST_COLUMNS = 4
"""Panels beside each other; more would be too small to read on a page."""

OUTCOMES = {
    "none": ("o", "sound"),
    "undertrained": ("^", "undertrained"),
    "collapsed": ("v", "collapsed"),
    "diverged": ("x", "diverged"),
}
"""By failure class the marker and the word of the phase diagram."""


def outcome_figures(records: Records, found: Findings) -> dict[str, Figure]:
    """These figures by name, those for which there are data."""
    figures = {
        "time_to_target": _time_to_target(records, found),
        "profile": _profile(records, found),
        "escape": _escape(records, found),
        "phases": _phases(records),
        "fronts": _fronts(records, found),
        "learning_rates": _learning_rates(records, found.sensitivities),
    }
    if found.factorial:
        figures["interaction"] = _interaction(found.factorial, WORDS[found.comparison.primary])
    return {name: figure for name, figure in figures.items() if any(axes.has_data() for axes in figure.axes)}


# --- survival ---------------------------------------------------------------------------------------------------------


def _time_to_target(records: Records, found: Findings) -> Figure:
    """The share of a method's units that have not reached the target yet."""
    goals, unit = {goal.workload: goal for goal in found.targets if goal.usable}, records.unit
    figure, panels = _panels(list(goals), 3.0)
    for axes, workload in panels:
        for reach in found.reaches:
            if reach.workload == workload and reach.curve:
                _steps(axes, reach.curve, max_time(records, workload), reach.method, records)
        plain(axes, f"{workload}: {unit}s yet above the target of {goals[workload].nats:.2f} nats")
        axes.set(xlabel="gradient evaluations", ylabel=f"share of {unit}s", ylim=(-0.03, 1.03))
        legend(axes)
    return figure


def _escape(records: Records, found: Findings) -> Figure:
    """The share of search trials that are still on the plateau of the constant decoder."""
    figure, panels = _panels(list(records.study["workloads"]), 3.0)
    for axes, workload in panels:
        for escape in found.escapes:
            if escape.workload == workload:
                _steps(axes, escape.curve, max_time(records, workload), escape.method, records)
        plain(axes, f"{workload}: search trials yet on the plateau of the constant decoder")
        axes.set(xlabel="gradient evaluations", ylabel="share of trials", ylim=(-0.03, 1.03))
        legend(axes)
    return figure


def _steps(axes: Axes, curve: SurvivalCurve, end: float, method: str, records: Records) -> None:
    colour, marker = look(records.methods.index(method))
    shares = [1.0, *curve.survival]
    times, shares = [0.0, *curve.times, end], [*shares, shares[-1]]
    axes.step(times, shares, where="post", color=colour, marker=marker, markevery=(0.1, 0.2), ms=4, label=method)
    if len(curve.times):
        low, high = ([*ends, ends[-1]] for ends in (curve.low, curve.high))
        axes.fill_between([*curve.times, end], low, high, step="post", color=colour, alpha=0.12, lw=0)


def max_time(records: Records, workload: str) -> float:
    """The gradient evaluations of the longest run of a workload."""
    runs = records.runs[records.runs["workload"] == workload]
    return float(np.nanmax([*column(runs, "final/grad_evals"), 0.0]))


def _profile(records: Records, found: Findings) -> Figure:
    """The share of workloads on which a method reaches the target within a factor of the fastest; one workload has no
    shares."""
    figure = sheet(6.4, 3.0)
    axes = figure.add_subplot()
    for one in found.aggregates.methods if len(records.study["workloads"]) > 1 else ():
        colour, marker = look(records.methods.index(one.method))
        ratios, shares = [*one.profile.ratios, one.profile.r_max], [*one.profile.shares, one.profile.shares[-1]]
        label = f"{one.method}, area {one.profile.area:.2f}"
        axes.step(ratios, shares, where="post", color=colour, marker=marker, ms=4, label=label)
    axes.set(xlabel="time to target over the fastest method's", ylabel="share of workloads", ylim=(-0.03, 1.03))
    plain(axes, "performance profile")
    legend(axes)
    return figure


# --- phases, fronts, rates --------------------------------------------------------------------------------------------


def _phases(records: Records) -> Figure:
    """Every search trial by learning rate and length of the KL ramp; its marker says how it ended."""
    cells = [(workload, method) for workload in records.study["workloads"] for method in records.methods]
    columns = min(len(records.methods), MOST_COLUMNS)
    lines = -(-len(cells) // columns)
    figure = sheet(2.2 * max(columns, 3), 2.3 * lines + 0.4)
    panels = list(figure.subplots(lines, columns, squeeze=False, sharey=True).flat)
    for axes, (workload, method) in zip(panels, cells, strict=False):
        _phase(axes, records, workload, method)
        plain(axes, f"{workload}: {method}")
        axes.set_xlabel("learning rate")
    for axes in panels[::columns]:
        axes.set_ylabel("KL ramp [share]")
    for axes in panels[len(cells) :]:
        axes.set_visible(False)
    handles = {name: handle for axes in panels for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _phase(axes: Axes, records: Records, workload: str, method: str) -> None:
    search = trials(records, workload, method)
    search = search[search["outcome"].isin(["done", "diverged"])]
    lengths = column(search, "setting.beta.over")
    if "setting.beta.schedule" in search:
        lengths = lengths.where(search["setting.beta.schedule"] != "constant", 0.0)
    shift = np.linspace(-0.012, 0.012, len(search))  # trials of one length would hide each other
    colour = look(records.methods.index(method))[0]
    for failure, (marker, word) in OUTCOMES.items():
        mine = (search["failure"] == failure).to_numpy()
        axes.scatter(
            column(search, "setting.lr")[mine],
            (lengths + shift)[mine],
            marker=marker,
            s=26,
            facecolors="none" if failure == "collapsed" else colour,
            edgecolors=None if marker == "x" else colour,
            label=word,
        )
    if len(search):
        axes.set_xscale("log")


def _fronts(records: Records, found: Findings) -> Figure:
    """Rates and distortions of the search trials, each method's front, lines of equal -ELBO."""
    figure, panels = _panels(list(records.study["workloads"]), 3.6)
    for axes, workload in panels:
        for front in found.fronts:
            if front.workload == workload and front.points:
                colour, marker = look(records.methods.index(front.method))
                axes.plot(*zip(*front.points, strict=True), marker, color=colour, alpha=0.3, ms=4, mew=0)
                volume = front.hypervolume.estimate
                label = (
                    front.method if math.isnan(volume) else f"{front.method}, hypervolume {_short(front.hypervolume)}"
                )
                axes.plot(
                    *zip(*pareto_front(front.points), strict=True), color=colour, marker=marker, ms=4, label=label
                )
        _near_the_fronts(axes, [front for front in found.fronts if front.workload == workload])
        axes.set(xlabel="rate: KL [nats per example]", ylabel="distortion [nats per example]")
        plain(axes, f"{workload}: rate and distortion of search trials")
        legend(axes)
    return figure


def _near_the_fronts(axes: Axes, fronts: Sequence[Front]) -> None:
    """Limits the axes to the fronts and a little more; trials far above would press them into a corner."""
    corners = [point for front in fronts for point in pareto_front(front.points)]
    if corners:
        rates, distortions = zip(*corners, strict=True)
        reach, span = max(rates) or 1.0, (max(distortions) - min(distortions)) or 1.0
        axes.set_xlim(-0.05 * reach, 1.3 * reach)
        axes.set_ylim(min(distortions) - 0.1 * span, max(distortions) + 0.3 * span)


def _short(found: Interval) -> str:
    if math.isnan(found.low):
        return f"{found.estimate:.0f}"
    return f"{found.estimate:.0f} [{found.low:.0f}, {found.high:.0f}]"


def _learning_rates(records: Records, sensitivities: Sequence[Sensitivity]) -> Figure:
    """L_val of every search trial by its learning rate, and how many decades of rates are good."""
    figure, panels = _panels(list(dict.fromkeys(one.workload for one in sensitivities)), 3.4)
    for axes, workload in panels:
        mine = [one for one in sensitivities if one.workload == workload]
        finite = [loss for one in mine for loss in one.losses if math.isfinite(loss)]
        for one in mine:
            colour, marker = look(records.methods.index(one.method))
            label = one.method
            if one.region and not math.isnan(one.region.decades.estimate):
                decades = one.region.decades
                label += f", {decades.estimate:.1f} decades [{decades.low:.1f}, {decades.high:.1f}]"
            pairs = [(lr, loss) for lr, loss in zip(one.lrs, one.losses, strict=True) if math.isfinite(lr + loss)]
            if pairs:
                axes.plot(*zip(*pairs, strict=True), marker, color=colour, ms=5, label=label)
        if finite:
            low, trivial = min(finite), float(np.quantile(finite, 0.8))
            axes.set_ylim(low - 0.1 * (trivial - low or 1.0), trivial + 0.3 * (trivial - low or 1.0))
        axes.set(xscale="log", xlabel="learning rate", ylabel="validation −ELBO [nats per example]")
        plain(axes, f"{workload}: rates within {TOLERANCE_NATS:g} nat of a method's best")
        legend(axes)
    return figure


# --- factorial and pictures -------------------------------------------------------------------------------------------


def _interaction(found: Factorial, primary: str) -> Figure:
    """Primary score by remedy, a line an optimizer: parallel lines mean no interaction."""
    workloads = list(dict.fromkeys(workload for workload, _, _ in found.cells))
    figure, panels = _panels(workloads, 3.4)
    for axes, workload in panels:
        for index, optimizer in enumerate(found.optimizers):
            colour, marker = look(index)
            means = [found.cells[workload, optimizer, remedy].score for remedy in found.remedies]
            places = np.arange(len(means)) + 0.06 * index
            axes.errorbar(
                places,
                [mean.estimate for mean in means],
                yerr=[mean.half_width for mean in means],
                color=colour,
                marker=marker,
                capsize=3,
                label=optimizer,
            )
        axes.set_xticks(range(len(found.remedies)), found.remedies)
        axes.set_ylabel(f"{primary} [nats per example]")
        plain(axes, f"{workload}: optimizer and remedy, each tuned at equal cost")
        legend(axes)
    return figure


def picture_strip(images: Iterable[npt.NDArray[np.uint8]]) -> Figure:
    """Images ``[h, w]`` side by side, dark ink on white."""
    shown = [np.pad(image, 1, constant_values=40) for image in images]
    strip = np.hstack(shown)
    figure, axes = bare(0.6 * len(shown), 0.6 * strip.shape[0] / shown[0].shape[1])
    axes.imshow(strip, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    return figure


def _panels(names: Sequence[str], height: float) -> tuple[Figure, list[tuple[Axes, str]]]:
    """A figure with a panel of so many inches for each name."""
    figure = sheet(6.8, height * max(len(names), 1))
    if not names:
        return figure, []
    return figure, list(zip(figure.subplots(len(names), 1, squeeze=False)[:, 0], names, strict=True))
