"""Tables for people and for programs; the one place where numbers are rounded and typeset."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vaestudy.analysis.compare import FAILURES, WORDS, Comparison, Row, budget_words
from vaestudy.analysis.frames import Records
from vaestudy.analysis.latex import bold_row, escape, tabular
from vaestudy.analysis.statistics.intervals import Interval, detectable
from vaestudy.analysis.statistics.leaders import LeaderChange

DASH = "–"
TRIALS = {"done": "reached the cap", "pruned": "pruned", "failed": "lost"}
"""How search trials ended, beside the failure classes, in words; lost ones failed by infrastructure."""
COUNTED = {"done": "done", "pruned": "pruned", "failed": "lost", "cancelled": "cancelled"}
"""The same for programs; the class has what diverged."""
NOT_APART = "†"
"""Stands after the score of a row that cannot be told apart from the best."""
MOST_VALUES = 3
"""Distinct values of a setting that are listed one by one."""


@dataclass(frozen=True)
class Table:
    """A small table of strings under the main one."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Report:
    """What a terminal shows of a study: text and a table of strings.

    Attributes:
        header, rows: the last column is the best setting, wide; a terminal shows it below.
        best: the index of the row with the lowest score of each workload and budget, to be set off.
        search: how the search trials ended.
    """

    title: str
    question: str
    answers: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[int]
    search: Table
    notes: tuple[str, ...]


def report(records: Records, comparison: Comparison) -> Report:
    """The report of a study."""
    titles = headers(comparison)
    best = _best(comparison)
    level = comparison.leading - best
    displayed = [_display(row, comparison.primary, index in level) for index, row in enumerate(comparison.rows)]
    header, rows = _shown(pd.DataFrame(displayed), titles)
    return Report(
        title=records.study["name"],
        question=" ".join(records.study["description"].split()),
        answers=comparison.answers,
        header=header,
        rows=rows,
        best=best,
        search=Table(
            "Search trials",
            *_shown(pd.DataFrame([_display_search(row) for row in comparison.rows if row.budget]), titles),
        ),
        notes=(*notes(comparison), *warnings(comparison)),
    )


def notes(comparison: Comparison) -> tuple[str, ...]:
    """How the table is to be read."""
    replicated = comparison.unit == "replicate"
    per_unit = "each of which searched and confirmed anew under seeds of its own" if replicated else "one search each"
    return (
        "Means are over the confirmation runs that did not fail: sound of all, under sound seeds.",
        f"± is half a 95 % interval over {comparison.unit}s ({per_unit}) and test examples; differences are paired by "
        f"{comparison.unit} and hold for all pairs of methods at once; rates: Clopper-Pearson, 95 %"
        f"{', with replicates in the place of runs' if replicated else ''}.",
        f"Detectable: the smallest difference that so many {comparison.unit}s would tell apart with 80 % power.",
        f"In bold: the lowest mean {WORDS[comparison.primary]}; {NOT_APART}: cannot be told apart from that.",
        "Judged at beta = 1 without free bits; winners chosen by validation ELBO at the cap, test data opened after.",
    )


def _best(comparison: Comparison) -> frozenset[int]:
    """The first of the leading rows of each workload and budget; rows stand best first."""
    groups = {index: (comparison.rows[index].workload, comparison.rows[index].budget) for index in comparison.leading}
    return frozenset(min(index for index in groups if groups[index] == group) for group in groups.values())


def _shown(cells: pd.DataFrame, titles: dict[str, str]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and rows; workload and budget only where there are several."""
    if cells["workload"].nunique() == 1 and cells["budget"].nunique() == 1:
        cells = cells.drop(columns=["workload", "budget"])
    return tuple(titles[name] for name in cells.columns), tuple(tuple(row) for row in cells.itertuples(index=False))


def headers(comparison: Comparison) -> dict[str, str]:
    """Column titles with units and direction, broken in two lines where a terminal needs it."""
    return {
        "workload": "workload",
        "budget": "trials",
        "method": "method",
        "elbo": f"{WORDS['elbo']} ↓\n[nats]",
        "nll": f"{WORDS['nll']} ↓\n[nats, IWAE-{comparison.iwae_samples}]",
        "seeds": "sound\nseeds",
        "difference": f"Δ to {comparison.baseline}\n[nats] (detectable)",
        **{kind: f"{kind}\n[95 %]" for kind in FAILURES},
        "search": "sound in\nsearch",
        "cost": "gradient evals\nsearch+confirm",
        "setting": "best setting",
        **{f"trials_{outcome}": word for outcome, word in TRIALS.items()},
    }


def numbers(comparison: Comparison) -> pd.DataFrame:
    """The comparison as numbers, one row a method: for programs."""
    return pd.DataFrame([_numbers(row) for row in comparison.rows])


def warnings(comparison: Comparison) -> tuple[str, ...]:
    """What a reader must know before believing a row."""
    found = []
    several = len({(row.workload, row.budget) for row in comparison.rows}) > 1
    for row in comparison.rows:
        name = f"{row.method} ({row.workload}, {budget_words(row.budget)})" if several else row.method
        if row.bimodal:
            unit = comparison.unit
            found.append(f"{name}: its {unit}s fall into two groups; read its failure rates, not its mean alone.")
        if row.difference is not None and row.difference.low <= 0 <= row.difference.high:
            found.append(
                f"{name}: not told apart from {comparison.baseline}; {row.difference.n} {comparison.unit}s would tell "
                f"{row.detectable:.2f} nats (80 % power)."
            )
    return tuple(found)


def _display(row: Row, primary: str, level: bool) -> dict[str, str]:
    ended = next(iter(row.search_failures.values())).n
    shown = {"elbo": estimate(row.nelbo), "nll": estimate(row.nll)}
    return {
        "workload": row.workload,
        "budget": str(row.budget or "defaults"),
        "method": row.method,
        primary: shown.pop(primary) + NOT_APART * level,
        **shown,
        "seeds": f"{row.sound}/{row.seeds}",
        "difference": _difference(row),
        **{kind: rate(row.confirm_failures[kind]) for kind in reversed(FAILURES)},
        "search": f"{ended - row.failed_trials}/{ended}" if row.budget else DASH,
        "cost": f"{count(row.grad_evals[0])}+{count(row.grad_evals[1])}",
        "setting": settings(row),
    }


def _display_search(row: Row) -> dict[str, str]:
    return {
        "workload": row.workload,
        "budget": str(row.budget or "defaults"),
        "method": row.method,
        **{f"trials_{outcome}": str(row.trials.get(outcome, 0)) for outcome in TRIALS},
        **{kind: rate(row.search_failures[kind]) for kind in reversed(FAILURES)},
    }


def _numbers(row: Row) -> dict[str, Any]:
    def spread(name: str, interval: Interval | None) -> dict[str, float]:
        made = interval or Interval(math.nan, math.nan, math.nan, 0)
        return {name: made.estimate, f"{name}_low": made.low, f"{name}_high": made.high, f"{name}_n": made.n}

    return {
        "workload": row.workload,
        "budget": row.budget,
        "method": row.method,
        "winners": " ".join(map(str, row.winners.values())),
        "seeds": row.seeds,
        "sound_seeds": row.sound,
        **spread("test_nelbo_nats", row.nelbo),
        **spread("test_nll_nats", row.nll),
        **spread("difference_nats", row.difference),
        "detectable_nats": row.detectable,
        **{k: v for kind in FAILURES for k, v in spread(f"confirm_{kind}", row.confirm_failures[kind]).items()},
        **{k: v for kind in FAILURES for k, v in spread(f"search_{kind}", row.search_failures[kind]).items()},
        "search_grad_evals": row.grad_evals[0],
        "confirm_grad_evals": row.grad_evals[1],
        **{f"trials_{name}": row.trials.get(outcome, 0) for outcome, name in COUNTED.items()},
        "setting": settings(row),
        "bimodal": row.bimodal,
    }


def leaders(workload: str, changes: Sequence[LeaderChange]) -> str:
    """Who is expected to lead from which tuning budget on, and how sure that is."""
    told = [f"{c.leader} from {c.n} trial{'s' * (c.n > 1)} on ({percent(c.probability)} of resamples)" for c in changes]
    return f"{workload}, expected best of n trials: {', then '.join(told)}."


def estimate(interval: Interval, signed: bool = False) -> str:
    """``23.42 ± 0.05``: two decimals; without an interval where there is none."""
    if math.isnan(interval.estimate):
        return DASH
    centre = minus(f"{interval.estimate:{'+' if signed else ''}.2f}")
    return centre if math.isnan(interval.low) else f"{centre} ± {interval.half_width:.2f}"


def _difference(row: Row) -> str:
    return "baseline" if row.difference is None else _with_detectable(row.difference, row.detectable)


def paired(found: Interval) -> str:
    """``+0.31 ± 0.05 (0.07)``: a mean of paired differences, and the smallest that as many seeds would have seen."""
    return _with_detectable(found, detectable(found))


def _with_detectable(found: Interval, smallest: float) -> str:
    return estimate(found, signed=True) + ("" if math.isnan(smallest) else f" ({smallest:.2f})")


def count(number: float) -> str:
    """``4320`` or, from ten thousand on, three digits: ``54.3k``, ``1.2M``, ``30.1G``."""
    if number < 10_000:
        return f"{number:.0f}"
    scale, unit = next(((s, u) for s, u in ((1e9, "G"), (1e6, "M")) if number >= 0.9995 * s), (1e3, "k"))
    return f"{number / scale:.{max(0, 2 - int(math.log10(number / scale)))}f}{unit}"


def rate(interval: Interval) -> str:
    """``40 % [12, 74]``, whole percents."""
    if interval.n == 0:
        return DASH
    return f"{percent(interval.estimate)} [{100 * interval.low:.0f}, {100 * interval.high:.0f}]"


def percent(share: float) -> str:
    """``40 %``."""
    return f"{100 * share:.0f} %"


def minus(numbers: str) -> str:
    """Numbers with a minus sign where Python writes a hyphen."""
    return numbers.replace("-", "−")


def setting(value: Any) -> str:
    """A searched value with three significant digits; just below 1, as decays are, three of its distance to 1."""
    if not isinstance(value, float):
        return str(value)
    if 0.9 < value < 1:
        decimals = 2 - math.floor(math.log10(1 - value))
        return f"{value:.{decimals}f}".rstrip("0")
    return f"{value:.3g}"


def settings(row: Row) -> str:
    """A row's searched values: ``lr=0.00889, beta1=0.797``; of several winners those values, or their range."""
    return ", ".join(f"{key}={_spread_of(values)}" for key, values in row.settings.items())


def _spread_of(values: Sequence[Any]) -> str:
    known = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if len(known) <= MOST_VALUES:
        return "/".join(map(setting, known))
    return f"{setting(known[0])}..{setting(known[-1])}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], best: frozenset[int] = frozenset()) -> str:
    """A Markdown table, the best rows' method and score in bold."""

    def line(values: Sequence[str]) -> str:
        return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"

    header = _one_line(header)
    body = [line(bold_row(header, row, "**{}**".format) if index in best else row) for index, row in enumerate(rows)]
    return "\n".join([line(header), line(["---"] * len(header)), *body]) + "\n"


def latex(report: Report) -> str:
    """The main table in the booktabs style, best methods and scores in bold, the best settings as a note below it."""
    methods = report.header.index("method")
    notes = "; ".join(f"{row[methods]}: {row[-1]}" for row in report.rows)
    caption = " ".join([report.question, *report.answers, *report.notes])
    rows = [row[:-1] for row in report.rows]
    return _float(caption, report.header[:-1], rows, report.best, f"Best settings: {notes}.")


def search_latex(report: Report) -> str:
    """How the search trials ended, in the booktabs style."""
    caption = f"{report.search.title}: how they ended; rates with Clopper-Pearson 95 % intervals."
    return _float(caption, report.search.header, report.search.rows)


def _float(
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    best: frozenset[int] = frozenset(),
    below: str = "",
) -> str:
    """A table across both columns of a page, with a caption above it and a note below it."""
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table*}",
            r"\centering",
            rf"\caption{{{escape(caption)}}}",
            r"\scriptsize",
            r"\setlength{\tabcolsep}{3pt}",
            *tabular(header, [[escape(value) for value in row] for row in rows], best),
            *([rf"\par\smallskip\raggedright {escape(below)}"] if below else []),
            r"\end{table*}",
            "",
        ]
    )


def _one_line(header: Sequence[str]) -> list[str]:
    return [name.replace("\n", " ") for name in header]
