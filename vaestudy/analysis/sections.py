"""What the page says: sections of text, tables and figures, in reading order."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from typing import Any

from matplotlib.figure import Figure

from vaestudy.analysis import tables
from vaestudy.analysis.compare import WORDS, Row, confirmed, sound
from vaestudy.analysis.definitions import range_text
from vaestudy.analysis.drawing import render
from vaestudy.analysis.elements import Cell, Picture, Section, Sheet
from vaestudy.analysis.findings import Findings
from vaestudy.analysis.frames import Records
from vaestudy.analysis.links import Links
from vaestudy.analysis.outcome_figures import picture_strip
from vaestudy.analysis.pictures import images
from vaestudy.analysis.statistics.intervals import Interval
from vaestudy.analysis.statistics.ranks import Refusal
from vaestudy.outputs import KINDS
from vaestudy.records import trial_name

LEVELS = {"fine": "✓ fine", "note": "• note", "warning": "! warning"}
VERDICTS = {"supported": "✓ supported", "contradicted": "✗ contradicted"}


MEDIAN_OF_MIN = "median of the fastest of 5\nsearch trials [gradient evals] ↓"
UTILITY = (
    "u = (L_trivial − L) / (L_trivial − T): 0 at the best constant decoder, 1 at the target; failures count 0. IQM: "
    "mean of the middle half; gap: mean shortfall from 1. No interval: too few replicates (or seeds) to carry one."
)
FRONTS = (
    "Each point is a search trial at the cap, each line its method's Pareto front; the hypervolume is that of the "
    "confirmed winners' paths, run by run.",
)
FAILURES = (
    "Collapsed: KL below 0.1 nat or no active unit, and no better than the best constant decoder. Undertrained: not "
    "better than the constant decoder, or still falling at its average rate at the cap. Diverged: a loss that is not "
    "finite, or worse than at the start after having been better. Nothing is in two; failures are counted, never "
    "averaged.",
)
FACTORIAL = ("Every optimizer was tuned at equal cost with and without each remedy; differences are paired.",)
PICTURES = ("Of each method's first confirmation run that did not fail.",)
CLAIMS = (
    "What the field says, and what this study's data say. A family's best method by the primary score stands for it. "
    "Supported or contradicted only where the whole interval is on one side; the intervals of all tested claims of a "
    "workload hold at once at 95 %, for all methods of the families.",
)


class Builder:
    """Makes the sections of one study's page."""

    def __init__(self, records: Records, found: Findings, pngs: Mapping[str, bytes]):
        self._records = records
        self._found = found
        self._pngs = pngs
        self._links = Links(records.facts)

    def sections(self, report: tables.Report) -> Iterator[Section]:
        """All sections, in reading order; those without content too."""
        yield Section("table", "Comparison", report.notes, (self._comparison(report),), self._figures("comparison"))
        yield Section("settings", "Best settings", (), (self._settings(),))
        yield Section("curves", "Learning curves", (), (), self._figures("learning_curves"))
        yield self._targets()
        yield self._aggregates()
        yield self._budgets()
        yield self._failures(report)
        yield Section("fronts", "Rate and distortion", FRONTS, (), self._figures("fronts"))
        yield self._sensitivity()
        yield self._factorial()
        yield Section("pictures", "Reconstructions and samples", PICTURES, (), tuple(self._strips()))
        yield self._claims()
        yield self._audits()
        yield self._plan()

    # --- the answer -------------------------------------------------------------------------------------------------

    def _comparison(self, report: tables.Report) -> Sheet:
        rows = tuple(
            tuple(Cell(text, self._behind(row, name)) for name, text in zip(report.header[:-1], cells, strict=False))
            for row, cells in zip(self._found.comparison.rows, report.rows, strict=True)
        )
        return Sheet(report.header[:-1], rows, report.best)

    def _behind(self, row: Row, title: str) -> str:
        """The runs that a number of a row is made of."""
        stage = "search" if title == "sound in\nsearch" else "confirm"
        return "" if title in ("workload", "trials", "sound\nseeds") else self._links.runs(cell=_cell(row), stage=stage)

    def _settings(self) -> Sheet:
        rows = []
        for row in self._found.comparison.rows:
            names = dict.fromkeys(map(trial_name, row.winners.values()))
            links = [self._links.runs(cell=_cell(row), trial=name.removeprefix("#")) for name in names]
            named = [Cell(row.workload), Cell(str(row.budget or "defaults")), Cell(row.method)]
            numbers = Cell(", ".join(names) or tables.DASH, links[0] if len(links) == 1 else "")
            rows.append((*named, numbers, Cell(tables.settings(row))))
        return Sheet(("workload", "best of", "method", "trial", "setting"), tuple(rows))

    # --- speed, aggregates, budgets ---------------------------------------------------------------------------------

    def _targets(self) -> Section:
        text = [
            f"{goal.workload}: target {goal.nats:.2f} nats (validation −ELBO), {goal.origin}."
            if goal.usable
            else f"{goal.workload}: no time to target: {goal.problem}."
            for goal in self._found.targets
        ]
        rows = tuple(
            (
                Cell(reach.workload),
                Cell(reach.method, self._links.runs(cell=f"{reach.workload}/{reach.method}", stage="confirm")),
                Cell(f"{sum(map(math.isfinite, reach.times.values()))}/{len(reach.times)}"),
                Cell(_evals(reach.curve.median) if reach.curve else tables.DASH),
                Cell(tables.DASH if math.isnan(reach.algoperf) else _reached(reach.algoperf)),
            )
            for reach in self._found.reaches
        )
        header = (
            "workload",
            "method",
            f"{self._records.unit}s that reach it",
            "median [95 %]\n[gradient evals] ↓",
            MEDIAN_OF_MIN,
        )
        sheets = (Sheet(header, rows),) if rows else ()
        return Section("target", "Time to target", tuple(text), sheets, self._figures("time_to_target"))

    def _aggregates(self) -> Section:
        found = self._found.aggregates
        if found.refused and not found.methods:
            return Section("aggregates", "Over all workloads", (f"No utilities: {found.refused}.",))
        baseline = self._found.comparison.baseline
        rows = tuple(
            (
                Cell(one.method),
                Cell(_between(one.iqm)),
                Cell(_between(one.gap)),
                Cell("baseline" if one.improvement is None else _between(one.improvement)),
                Cell(f"{one.profile.area:.2f}"),
            )
            for one in found.methods
        )
        header = (
            "method",
            "IQM of u ↑\n[95 %]",
            "optimality gap ↓\n[95 %]",
            f"P(better than {baseline})",
            "profile area ↑",
        )
        text = [UTILITY]
        if isinstance(found.ranks, Refusal):
            text.append(f"No ranks: {found.ranks.reason}.")
        else:
            told = ", ".join(f"{method} {rank:.2f}" for method, rank in found.ranks.ranks.items())
            apart = found.ranks.critical_difference
            text.append(f"Mean ranks: {told}; p = {found.ranks.p:.3g}; critical difference {apart:.2f}.")
        text += found.untested
        return Section(
            "aggregates",
            "Over all workloads",
            tuple(text),
            (Sheet(header, rows), *self._tests()),
            self._figures("profile"),
        )

    def _tests(self) -> Iterator[Sheet]:
        header = ("workload", "pair", f"{self._records.unit}s", "p, Holm", "verdict")
        rows = tuple(
            (
                Cell(workload),
                Cell(f"{test.first} – {test.second}"),
                Cell(str(test.n)),
                Cell(f"{test.adjusted:.3g}"),
                Cell(test.verdict),
            )
            for workload, tests in self._found.aggregates.pairs.items()
            if not isinstance(tests, Refusal)
            for test in tests
        )
        if rows:
            yield Sheet(header, rows)

    def _budgets(self) -> Section:
        text = [tables.leaders(workload, changes) for workload, changes in self._found.leaders.items() if changes]
        if not self._found.independent:
            text.append("The trials are not independent (stage P): best so far, no expectation over budgets.")
        return Section("budgets", "What a budget buys", tuple(text), (), self._figures("best_of_n", "probability_best"))

    # --- failures ---------------------------------------------------------------------------------------------------

    def _failures(self, report: tables.Report) -> Section:
        searched = [row for row in self._found.comparison.rows if row.budget]
        rows = tuple(
            tuple(
                Cell(text, self._links.runs(cell=_cell(row), stage="search") if name == "method" else "")
                for name, text in zip(report.search.header, cells, strict=True)
            )
            for row, cells in zip(searched, report.search.rows, strict=True)
        )
        escapes = tuple(
            (Cell(e.workload), Cell(e.method), Cell(tables.rate(e.escaped)), Cell(_evals(e.curve.median)))
            for e in self._found.escapes
        )
        header = ("workload", "method", "trials that left the plateau\n[95 %]", "median time [95 %]\n[gradient evals]")
        sheets = (Sheet(report.search.header, rows), Sheet(header, escapes))
        return Section(
            "failures", "Failures and collapse", FAILURES, sheets, self._figures("failure_rates", "escape", "phases")
        )

    def _sensitivity(self) -> Section:
        rows = tuple(
            (
                Cell(one.workload),
                Cell(one.method),
                Cell(f"{one.region.best_lr:.3g}"),
                Cell(_between(one.region.decades, 1)),
            )
            for one in self._found.sensitivities
            if one.region
        )
        header = ("workload", "method", "best learning rate", "decades of good rates ↑\n[95 %]")
        sheets = (Sheet(header, rows),) if rows else ()
        return Section(
            "sensitivity",
            "Sensitivity",
            (),
            (*sheets, *self._importances()),
            self._figures("learning_rates"),
        )

    def _importances(self) -> Iterator[Sheet]:
        rows = tuple(
            (Cell(workload), Cell(method), Cell(evaluator), Cell(_ranked(shares)))
            for (workload, method), by_evaluator in self._found.importances.items()
            for evaluator, shares in by_evaluator.items()
            if shares
        )
        if rows:
            yield Sheet(("workload", "method", "importance by", "searched settings, the most important first"), rows)

    def _factorial(self) -> Section:
        found = self._found.factorial
        if found is None:
            return Section("factorial", "Optimizer and remedy")
        effects = tuple(
            (Cell(e.workload), Cell(e.optimizer), Cell(e.remedy), Cell(tables.paired(e.difference)))
            for e in found.effects
        )
        pairs = tuple(
            (
                Cell(one.workload),
                Cell(one.remedy),
                Cell(f"{one.optimizer} less {one.other}"),
                Cell(tables.paired(one.difference)),
            )
            for one in found.interactions
        )
        effect = f"{WORDS[self._found.comparison.primary]} with it less without ↓\n[nats] (detectable)"
        sheets = (
            Sheet(("workload", "optimizer", "remedy", effect), effects),
            Sheet(("workload", "remedy", "optimizers", "interaction\n[nats] (detectable)"), pairs),
        )
        return Section("factorial", "Optimizer and remedy", FACTORIAL, sheets, self._figures("interaction"))

    # --- pictures ---------------------------------------------------------------------------------------------------

    def _strips(self) -> Iterator[Picture]:
        for workload in self._records.study["workloads"]:
            for index, method in enumerate(self._records.methods):
                runs = sound(confirmed(self._records, workload, method, self._records.budgets[-1]))
                shown = set(self._records.pictures["uid"])
                uids = [uid for uid in runs.sort_values("seed")["uid"] if uid in shown]
                for kind in (KINDS if index == 0 else KINDS[1:]) if uids else ():
                    name = f"{workload}: originals" if kind == "originals" else f"{workload}, {method}: {kind}"
                    yield _drawn(name, picture_strip(images(self._records.pictures, uids[0], kind)))

    # --- claims, audits, plan ---------------------------------------------------------------------------------------

    def _claims(self) -> Section:
        rows = tuple(
            (
                Cell(workload),
                Cell(claim.statement),
                Cell(VERDICTS.get(claim.verdict, claim.verdict)),
                Cell(claim.evidence),
            )
            for workload, claims in self._found.claims.items()
            for claim in claims
        )
        return Section("claims", "Claims", CLAIMS, (Sheet(("workload", "statement", "here", "evidence"), rows),))

    def _audits(self) -> Section:
        rows = tuple((Cell(audit.topic), Cell(LEVELS[audit.level]), Cell(audit.text)) for audit in self._found.audits)
        return Section("audits", "Audits", (), (Sheet(("audit", "level", "what was found"), rows),))

    def _plan(self) -> Section:
        study, environment = self._records.study, self._records.facts.get("environment", {})
        spaces = tuple(
            (Cell(method), Cell(section["optimizer"]), Cell("; ".join(_ranges(section["search"]))))
            for method, section in study["methods"].items()
        )
        shared = "; ".join(_ranges(study["shared_search"])) or "nothing"
        search, confirm = study["search"], study["confirm"]
        text = (
            f"{search['trials']} trials for each method and workload by {search['sampler']['name']}, pruner "
            f"{search['pruner']['name']}; {search['replicates']} replicate{'s' * (search['replicates'] > 1)}; "
            f"{study['train']['epochs']} epochs each; {confirm['seeds']} confirmation seeds; "
            f"IWAE with {confirm['iwae_samples']} samples. Searched for every method alike: {shared}.",
            f"Study {self._records.facts['hash']}, code {environment.get('code', 'unknown')}, "
            f"{_packages(environment.get('packages', {}))}; {_hardware(environment.get('hardware', {}))}.",
        )
        return Section("plan", "Plan and hashes", text, (Sheet(("method", "optimizer", "searched"), spaces),))

    def _figures(self, *names: str) -> tuple[Picture, ...]:
        return tuple(_picture(name.replace("_", " "), self._pngs[name]) for name in names if name in self._pngs)


def _drawn(name: str, figure: Figure) -> Picture:
    return _picture(name, render(figure, "png"))


def _picture(name: str, png: bytes) -> Picture:
    return Picture(name, base64.b64encode(png).decode())


def _cell(row: Row) -> str:
    return f"{row.workload}/{row.method}"


def _between(found: Interval, digits: int = 2) -> str:
    """``0.96 [0.91, 0.99]``."""
    if math.isnan(found.estimate):
        return tables.DASH
    centre = f"{found.estimate:.{digits}f}"
    return centre if math.isnan(found.low) else f"{centre} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _evals(found: Interval) -> str:
    ends = "" if math.isnan(found.low) else f" [{_reached(found.low)}, {_reached(found.high)}]"
    return _reached(found.estimate) + ends


def _reached(evals: float) -> str:
    if math.isnan(evals):
        return tables.DASH
    return tables.count(evals) if math.isfinite(evals) else "not reached"


def _ranked(shares: Mapping[str, tuple[float, bool]]) -> str:
    told = {key: tables.percent(share) + ("" if real else " (noise)") for key, (share, real) in shares.items()}
    return ", ".join(f"{key} {text}" for key, text in told.items())


def _ranges(section: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [f"{key} {range_text(entry)}" for key, entry in section.items()]


def _packages(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "packages unknown"


def _hardware(hardware: Mapping[str, Any]) -> str:
    parts = [hardware.get("processor", "processor unknown"), f"{hardware.get('cores', '?')} cores"]
    return ", ".join([*parts, *hardware.get("gpus", ())])
