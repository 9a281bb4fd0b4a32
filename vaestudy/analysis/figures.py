"""Figures of a study: the comparison, failure rates, learning curves, what more tuning buys.

Colour-blind-safe and readable in print; every figure has one panel (or one row of panels) a workload and budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.typing import FillStyleType

from vaestudy.analysis.compare import FAILURES, WORDS, Comparison, Row, budget_words, by_unit, confirmed, means, sound
from vaestudy.analysis.curves import curves, seed_curves
from vaestudy.analysis.design_audits import independent as is_independent
from vaestudy.analysis.drawing import legend, look, plain, sheet
from vaestudy.analysis.frames import Records, column
from vaestudy.analysis.outcomes import capped_losses
from vaestudy.analysis.statistics.budgets import expected_best_band
from vaestudy.analysis.statistics.intervals import Interval
from vaestudy.analysis.statistics.leaders import probability_best
from vaestudy.analysis.targets import trivial_of
from vaestudy.records import PRIMARY

TRIVIAL = "best constant decoder"
FILLS: Mapping[str, tuple[str, FillStyleType]] = {
    "collapsed": ("filled", "full"),
    "undertrained": ("half", "left"),
    "diverged": ("open", "none"),
}
"""How a failure class is drawn: in words, and as a marker's fill."""


def study_figures(records: Records, comparison: Comparison) -> dict[str, Figure]:
    """The study's figures by name, those for which there are data."""
    figures = {
        "comparison": comparison_figure(records, comparison),
        "learning_curves": learning_curves(records),
        "failure_rates": failure_rates(records, comparison),
        "best_of_n": best_of_n(records),
        "probability_best": best_chances(records),
    }
    return {name: figure for name, figure in figures.items() if any(axes.has_data() for axes in figure.axes)}


# --- the comparison ---------------------------------------------------------------------------------------------------


def comparison_figure(records: Records, comparison: Comparison) -> Figure:
    """Each method's primary score: every unit, the mean and its 95 % interval, failures beside, the trivial model."""
    panels = list(_panels(comparison))
    figure = sheet(6.4, 0.9 + sum(0.6 + 0.4 * len(rows) for _, rows in panels))
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[1 + len(rows) for _, rows in panels])
    for axes, (title, rows) in zip(grid[:, 0], panels, strict=True):
        found = [confirmed(records, row.workload, row.method, row.budget) for row in rows]
        edge = _edge(rows, pd.concat(found))
        for y, (row, runs) in enumerate(zip(rows, found, strict=True)):
            failed = by_unit(records, runs.drop(sound(runs).index), PRIMARY[comparison.primary])
            _units(axes, y, row, failed, edge, look(records.methods.index(row.method)))
        _name_rows(axes, rows)
        plain(axes, title)
        _trivial_line(axes, pd.concat(found))
    bound = f", IWAE-{comparison.iwae_samples}" if comparison.primary == "nll" else ""
    grid[-1, 0].set_xlabel(f"{WORDS[comparison.primary]}{bound} [nats per example], lower is better")
    unit = comparison.unit
    figure.supxlabel(f"large: mean and 95 % interval; small: one {unit}; ×: failed runs of a {unit}", fontsize="small")
    return figure


def _edge(rows: Sequence[Row], runs: pd.DataFrame) -> float:
    """How far to the right a panel goes: a little beyond the trivial model, where collapsed runs lie.

    A diverged run may lie anywhere; to scale, it would press all others into a point.
    """
    trivial = float(column(runs, "final/test_l_trivial").mean())
    values = [value for row in rows for value in means(row.scores).values()]
    best = min(values, default=trivial)
    return float(max([trivial + 0.2 * (trivial - best), *values]))


def _units(axes: Axes, y: int, row: Row, failed: Mapping[int, float], edge: float, appearance: tuple[str, str]) -> None:
    """One method's line: units a little below, so that the mean hides none; failed ones no further than the edge."""
    colour, marker = appearance
    values = [*means(row.scores).values()]
    axes.plot(values, [y + 0.25] * len(values), marker, color=colour, alpha=0.6, ms=4, mew=0)
    axes.plot([min(value, edge) for value in failed.values()], [y] * len(failed), "x", color=colour, ms=6)
    if row.score.n >= 2:
        axes.errorbar(row.score.estimate, y, xerr=row.score.half_width, fmt=marker, color=colour, capsize=3, ms=7)
    if row.failed:
        text = f"{row.failed}/{row.seeds} failed"
        axes.text(1.01, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize="small", color="0.3")


def _trivial_line(axes: Axes, runs: pd.DataFrame) -> None:
    """The trivial model's NLL: a line where it is near the data, else a word at the edge; the top right is free, since
    the best method is the leftmost and comes first."""
    if "final/test_l_trivial" not in runs or not axes.has_data():
        return
    value = float(runs["final/test_l_trivial"].mean())
    low, high = axes.get_xlim()
    text, x = f"{TRIVIAL}: {value:.2f} →", high
    if value <= high + (high - low):
        axes.axvline(value, color="0.3", ls=":", lw=1.2)
        text, x = f"{TRIVIAL}: {value:.2f} ", value
    axes.text(x, 0.98, text, transform=axes.get_xaxis_transform(), ha="right", va="top", fontsize="small", color="0.3")


# --- failures ---------------------------------------------------------------------------------------------------------


def failure_rates(records: Records, comparison: Comparison) -> Figure:
    """Shares of confirmation runs and of search trials of each failure class, with Clopper-Pearson intervals."""
    panels = list(_panels(comparison))
    figure = sheet(6.4, 0.7 + sum(0.75 + 0.4 * len(rows) for _, rows in panels))
    grid = figure.subplots(len(panels), 2, squeeze=False, sharex=True, height_ratios=[1 + len(r) for _, r in panels])
    for line, (title, rows) in zip(grid, panels, strict=True):
        _rates(line[0], records, rows, [row.confirm_failures for row in rows])
        _rates(line[1], records, rows, [row.search_failures for row in rows])
        plain(line[0], f"{title}\nconfirmation runs")
        plain(line[1], "search trials")
        line[1].set_yticklabels([])
    for axes in grid[-1]:
        axes.set_xlabel("share [%], 95 % interval")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    figure.supxlabel("; ".join(f"{FILLS[kind][0]}: {kind}" for kind in FAILURES), fontsize="small")
    return figure


def _rates(axes: Axes, records: Records, rows: Sequence[Row], rates: Sequence[dict[str, Interval]]) -> None:
    for y, (row, found) in enumerate(zip(rows, rates, strict=True)):
        colour, marker = look(records.methods.index(row.method))
        for kind, shift in zip(FAILURES, (0.25, 0.0, -0.25), strict=True):
            rate = found[kind]
            if rate.n:
                error = [[rate.estimate - rate.low], [rate.high - rate.estimate]]
                bar = axes.errorbar(rate.estimate, y + shift, xerr=error, fmt=marker, color=colour, capsize=2, ms=5)
                bar.lines[0].set(fillstyle=FILLS[kind][1], markerfacecoloralt="white")
    axes.set_xlim(-0.03, 1.03)
    _name_rows(axes, rows)


# --- curves -----------------------------------------------------------------------------------------------------------


def learning_curves(records: Records) -> Figure:
    """Validation −ELBO of the confirmed winners over gradient evaluations: mean, range, and failed runs one by one."""
    found = curves(records)
    figure, panels = _by_workload(records, 3.4)
    for axes, workload in panels:
        trivial = trivial_of(records, workload)
        ends = []
        for index, method in enumerate(records.methods):
            mine = found[(found["workload"] == workload) & (found["method"] == method)]
            failed = _failed_curves(records, workload, method)
            _curve(axes, method, mine, failed, look(index))
            ends += [*mine["mean_nats"].tail(1), *failed.tail(1).to_numpy().ravel()]
        axes.axhline(trivial, color="0.3", ls=":", lw=1.2, label=TRIVIAL)
        if np.isfinite([*ends, trivial]).any():
            lowest = float(np.nanmin([*ends, trivial]))
            span = trivial - lowest or 1.0
            axes.set_ylim(lowest - 0.15 * span, trivial + 0.6 * span)
        axes.set(xlabel="gradient evaluations", ylabel="validation −ELBO [nats per example]")
        plain(axes, f"{workload}: mean and range over confirmed runs")
        legend(axes)
    return figure


def _curve(axes: Axes, method: str, mean: pd.DataFrame, failed: pd.DataFrame, appearance: tuple[str, str]) -> None:
    colour, marker = appearance
    if len(mean):
        x = mean["grad_evals"]
        axes.plot(x, mean["mean_nats"], color=colour, marker=marker, markevery=0.15, ms=4, label=method)
        axes.fill_between(x, mean["low_nats"], mean["high_nats"], color=colour, alpha=0.2, lw=0)
    for number, uid in enumerate(failed):
        label = f"{method}, failed run" if number == 0 else None
        axes.plot(failed.index, failed[uid], color=colour, ls="--", lw=0.8, label=label)


def _failed_curves(records: Records, workload: str, method: str) -> pd.DataFrame:
    runs = confirmed(records, workload, method, records.budgets[-1])
    return seed_curves(records, runs.drop(sound(runs).index))


# --- budgets ----------------------------------------------------------------------------------------------------------


def best_of_n(records: Records) -> Figure:
    """The best validation −ELBO of n trials: what more tuning buys each method.

    Where trials are independent and all reach the cap: the expectation over which n of them one would have had. Else
    (a sampler that learns, or a pruner) that has no meaning, and the best so far is shown. Bands: bootstrap, 95 %.
    """
    independent = is_independent(records)
    figure, panels = _by_workload(records, 3.2)
    for axes, workload in panels:
        for method, values in capped_losses(records, workload).items():
            colour, marker = look(records.methods.index(method))
            budgets = range(1, len(values) + 1)
            low, best, high = expected_best_band(values) if independent else [np.minimum.accumulate(values)] * 3
            axes.plot(budgets, best, color=colour, marker=marker, markevery=0.1, ms=4, label=method)
            axes.fill_between(budgets, low, high, color=colour, alpha=0.15, lw=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="trials n", ylabel="validation −ELBO [nats per example]")
        plain(axes, f"{workload}: {'expected best of n trials' if independent else 'best of the first n trials'}")
        legend(axes)
    return figure


def best_chances(records: Records) -> Figure:
    """The probability that a method's best of n trials is the lowest of all methods'."""
    figure, panels = _by_workload(records, 2.8)
    for axes, workload in panels if is_independent(records) else ():
        for method, (low, chance, high) in probability_best(capped_losses(records, workload)).items():
            colour, marker = look(records.methods.index(method))
            budgets = range(1, len(chance) + 1)
            axes.plot(budgets, chance, color=colour, marker=marker, markevery=0.1, ms=4, label=method)
            axes.fill_between(budgets, low, high, color=colour, alpha=0.15, lw=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="trials n", ylabel="probability", ylim=(-0.03, 1.03))
        plain(axes, f"{workload}: probability of being best after n trials each")
        legend(axes)
    return figure


# --- shared -----------------------------------------------------------------------------------------------------------


def _panels(comparison: Comparison) -> Iterator[tuple[str, list[Row]]]:
    """Title and rows of each workload and budget."""
    for workload, budget in dict.fromkeys((row.workload, row.budget) for row in comparison.rows):
        rows = [row for row in comparison.rows if (row.workload, row.budget) == (workload, budget)]
        yield f"{workload}, {budget_words(budget)}", rows


def _by_workload(records: Records, height: float) -> tuple[Figure, list[tuple[Axes, str]]]:
    """A figure with a panel of so many inches for each workload."""
    workloads = list(records.study["workloads"])
    figure = sheet(6.4, height * len(workloads))
    return figure, list(zip(figure.subplots(len(workloads), 1, squeeze=False)[:, 0], workloads, strict=True))


def _name_rows(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_yticks(range(len(rows)), [row.method for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
