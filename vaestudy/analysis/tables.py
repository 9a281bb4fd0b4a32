"""Tables for people and for programs; the one place where numbers are rounded and typeset."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vaestudy.analysis.compare import FAILURES, Comparison, Row
from vaestudy.analysis.frames import Records
from vaestudy.analysis.statistics import Interval

DASH = "–"
NOTES = (
    "Means are over the confirmation seeds that neither diverged nor collapsed; the rates beside them count the others.",
    "± is half a 95 % interval (Student's t over seeds); rates carry Clopper-Pearson 95 % intervals.",
    "Judged at beta = 1 without free bits; winners chosen by the validation ELBO at the cap, test data opened afterwards.",
)


@dataclass(frozen=True)
class Report:
    """What a terminal shows of a study: text and a table of strings.

    Attributes:
        header, rows: the last column is the best setting, wide; a terminal shows it below.
        best: the indices of rows to be set off as the best of their workload and budget.
    """

    title: str
    question: str
    answers: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[int]
    notes: tuple[str, ...]


def report(records: Records, comparison: Comparison) -> Report:
    """The report of a study."""
    cells = display(comparison)
    several = cells["workload"].nunique() > 1 or cells["budget"].nunique() > 1
    shown = cells if several else cells.drop(columns=["workload", "budget"])
    return Report(
        title=records.study["name"], question=" ".join(records.study["description"].split()),
        answers=comparison.answers, header=tuple(headers(comparison)[name] for name in shown.columns),
        rows=tuple(tuple(row) for row in shown.itertuples(index=False)), best=frozenset(best_rows(comparison)),
        notes=(*NOTES, *warnings(comparison)),
    )


def headers(comparison: Comparison) -> dict[str, str]:
    """Column titles with units and direction, broken in two lines where a terminal needs it."""
    return {
        "workload": "workload", "budget": "trials", "method": "method",
        "nll": f"test NLL ↓\n[nats, IWAE-{comparison.iwae_samples}]", "nelbo": "test −ELBO ↓\n[nats]",
        "difference": f"ΔNLL to\n{comparison.baseline} [nats]", "collapsed": "collapsed\n[95 %]",
        "diverged": "diverged\n[95 %]", "search": "failed in\nsearch", "cost": "gradient evals\nsearch + confirm",
        "setting": "best setting",
    }


def display(comparison: Comparison) -> pd.DataFrame:
    """The comparison as strings, one row a method, best first."""
    return pd.DataFrame([_display(row) for row in comparison.rows])


def numbers(comparison: Comparison) -> pd.DataFrame:
    """The comparison as numbers, one row a method: for programs."""
    return pd.DataFrame([_numbers(row) for row in comparison.rows])


def best_rows(comparison: Comparison) -> list[int]:
    """The index of the best row of each workload and budget that has one."""
    seen: set[tuple[str, int]] = set()
    best = []
    for index, row in enumerate(comparison.rows):
        if (row.workload, row.budget) not in seen and row.nll.n:
            best.append(index)
        seen.add((row.workload, row.budget))
    return best


def warnings(comparison: Comparison) -> tuple[str, ...]:
    """What a reader must know before believing a row."""
    found = []
    for row in comparison.rows:
        if row.bimodal:
            found.append(f"{row.method}: the seeds fall into two groups; read its failure rates, not its mean alone.")
        if row.difference is not None and row.difference.n >= 2 and row.difference.low <= 0 <= row.difference.high:
            found.append(f"{row.method}: not told apart from {comparison.baseline}; {row.difference.n} seeds would detect "
                         f"{row.detectable:.2f} nats (80 % power).")
    return tuple(found)


def _display(row: Row) -> dict[str, str]:
    search = sum(row.trials.get(kind, 0) for kind in ("done", "pruned", "diverged"))
    failed = sum(round(rate.estimate * rate.n) for rate in row.search_failures.values() if rate.n)
    return {
        "workload": row.workload, "budget": str(row.budget), "method": row.method,
        "nll": estimate(row.nll), "nelbo": estimate(row.nelbo),
        "difference": "baseline" if row.difference is None else estimate(row.difference, signed=True),
        **{kind: rate(row.confirm_failures[kind]) for kind in reversed(FAILURES)},
        "search": f"{failed}/{search}", "cost": f"{row.grad_evals[0]:,.0f} + {row.grad_evals[1]:,.0f}",
        "setting": ", ".join(f"{key}={setting(value)}" for key, value in row.setting.items()),
    }


def _numbers(row: Row) -> dict[str, Any]:
    def spread(name: str, interval: Interval | None) -> dict[str, float]:
        made = interval or Interval(math.nan, math.nan, math.nan, 0)
        return {name: made.estimate, f"{name}_low": made.low, f"{name}_high": made.high, f"{name}_n": made.n}

    return {
        "workload": row.workload, "budget": row.budget, "method": row.method, "winner": row.winner, "seeds": row.seeds,
        **spread("test_nll_nats", row.nll), **spread("test_nelbo_nats", row.nelbo),
        **spread("difference_nats", row.difference), "detectable_nats": row.detectable,
        **{k: v for kind in FAILURES for k, v in spread(f"confirm_{kind}", row.confirm_failures[kind]).items()},
        **{k: v for kind in FAILURES for k, v in spread(f"search_{kind}", row.search_failures[kind]).items()},
        "search_grad_evals": row.grad_evals[0], "confirm_grad_evals": row.grad_evals[1],
        **{f"trials_{name}": row.trials.get(name, 0) for name in ("done", "pruned", "diverged", "failed")},
        "setting": ", ".join(f"{key}={setting(value)}" for key, value in row.setting.items()), "bimodal": row.bimodal,
    }


def estimate(interval: Interval, signed: bool = False) -> str:
    """``23.42 ± 0.05``: two decimals; without an interval where there is none."""
    if math.isnan(interval.estimate):
        return DASH
    centre = f"{interval.estimate:+.2f}" if signed else f"{interval.estimate:.2f}"
    return centre if math.isnan(interval.low) else f"{centre} ± {interval.half_width:.2f}"


def rate(interval: Interval) -> str:
    """``40 % [12, 74]``, whole percents."""
    if interval.n == 0:
        return DASH
    return f"{interval.estimate:.0%} [{100 * interval.low:.0f}, {100 * interval.high:.0f}]".replace("%", " %")


def setting(value: Any) -> str:
    """A searched value with three significant digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], best: frozenset[int]) -> str:
    """A Markdown table, the best rows' first estimate in bold."""
    def line(values: Sequence[str]) -> str:
        return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"

    body = [line(_bold(row, "**{}**".format) if index in best else row) for index, row in enumerate(rows)]
    return "\n".join([line(_one_line(header)), line(["---"] * len(header)), *body]) + "\n"


def latex(header: Sequence[str], rows: Sequence[Sequence[str]], best: frozenset[int], caption: str) -> str:
    """A LaTeX table in the booktabs style."""
    body = []
    for index, row in enumerate(rows):
        escaped = [escape(value) for value in row]
        body.append(" & ".join(_bold(escaped, "\\textbf{{{}}}".format) if index in best else escaped) + r" \\")
    return "\n".join([
        r"\begin{table}", r"\centering", rf"\caption{{{escape(caption)}}}", r"\small",
        rf"\begin{{tabular}}{{{'l' * len(header)}}}", r"\toprule",
        " & ".join(escape(name) for name in _one_line(header)) + r" \\", r"\midrule", *body, r"\bottomrule", r"\end{tabular}",
        r"\end{table}", "",
    ])


LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
         "±": r"$\pm$", "−": "$-$", "↓": r"$\downarrow$", "Δ": r"$\Delta$", "–": "--", "~": r"\textasciitilde{}",
         "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}


def escape(text: str) -> str:
    """Text as LaTeX source."""
    return "".join(LATEX.get(character, character) for character in text)


def _one_line(header: Sequence[str]) -> list[str]:
    return [name.replace("\n", " ") for name in header]


def _bold(row: Sequence[str], style: Callable[[str], str]) -> list[str]:
    """The row with its method and its first estimate set off."""
    marked = {index for index, value in enumerate(row) if "±" in value or "pm" in value}
    first = min(marked, default=-1)
    return [style(value) if index == first else value for index, value in enumerate(row)]
