"""Saved views: MLflow's own page shows no metric at all; these show who won, how they learned and what was searched.

A view is an experiment tag ``mlflow.sharedViewState.<key>`` that holds the page's state, deflated. MLflow documents
neither; the browser test looks at the result.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vaestudy.outputs import KINDS
from vaestudy.records import PRIMARY
from vaestudy.spec import Study
from vaestudy.tracking.rows import primary_metric, searched

PREFIX = "mlflow.sharedViewState."
CREATED = 1_700_000_000_000
"""Milliseconds since 1970 of the first view; constant, so that a view written twice is the same view."""
TAG_CHARACTERS = 5000
CURVES = ("val/nelbo", "val/rec", "val/kl", "val/active_units", "train/loss")
SEED_SHOWN = 1
"""The confirmation seed whose pictures are shown: MLflow's image grid holds ten runs, so one of each method."""
BY_METHOD = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "group"}]}
"""The tag ``group`` is the method, and its failure class where a run failed."""

Chart = dict[str, Any]
State = dict[str, Any]


@dataclass(frozen=True)
class View:
    """One saved view: its key in addresses, its name and place in the menu, the state of the page."""

    key: str
    name: str
    state: State
    place: int

    def tag(self) -> tuple[str, str]:
        """The experiment tag that holds it."""
        packed = base64.b64encode(zlib.compress(json.dumps(self.state).encode(), 9)).decode()
        created = CREATED - self.place  # the menu begins with the newest
        value = {"name": self.name, "createdAt": created, "updatedAt": created, "state": f"deflate;{packed}"}
        return PREFIX + self.key, json.dumps(value)


@dataclass(frozen=True)
class Section:
    """A titled part of the charts page, ``columns`` charts wide; each chart is ``height`` pixels high."""

    uuid: str
    name: str
    columns: int
    height: int = 360

    def state(self) -> State:
        """MLflow's form of it."""
        named = {"uuid": self.uuid, "name": self.name, "columns": self.columns, "cardHeight": self.height}
        return {**named, "display": True, "isReordered": True}


@dataclass(frozen=True)
class Known:
    """What is known of a study when its views are written.

    Attributes:
        metrics: the names of the runs' metrics: MLflow adds a chart for each one that a view does not name.
        final_nelbo: the last validation nELBO of the runs in the curves, by workload; zooms a copy of the curves.
        decided: whether the winners are known and tagged ``best``.
    """

    metrics: frozenset[str] = frozenset()
    final_nelbo: Mapping[str, Sequence[float]] = field(default_factory=dict)
    decided: bool = False


def tags(study: Study, known: Known) -> dict[str, str]:
    """The experiment tags of all views; one that MLflow could not hold is left out."""
    pairs = [view.tag() for workload in study.workloads for view in _views(study, workload, known)]
    return {key: value for key, value in pairs if len(value) <= TAG_CHARACTERS}


def titles(study: Study) -> dict[str, str]:
    """The kinds of views that a study has, with the words for them."""
    kinds = {"leaderboard": "Leaderboard", "curves": "Learning curves", "search": "Search", "best": "Best of each"}
    pictured = study.confirm.seeds and study.tracking.figures
    return {**kinds, "reconstructions": "Reconstructions"} if pictured else kinds


def key(study: Study, view: str, workload: str) -> str:
    """The key of a view; a study of several workloads has one of each kind for each."""
    return view if len(study.workloads) == 1 else f"{view}-{workload}"


def _views(study: Study, workload: str, known: Known) -> list[View]:
    several = len(study.workloads) > 1
    only = f" and tags.workload = '{workload}'" if several else ""
    suffix = f": {workload}" if several else ""
    states = {
        "leaderboard": _leaderboard(study, only, known),
        "curves": _curves(study, only, known, known.final_nelbo.get(workload, ())),
        "search": _search(study, only, known),
        "best": _best(study, only),
        "reconstructions": _reconstructions(study, only, known),
    }
    return [
        View(key(study, kind, workload), f"{place} {title}{suffix}", states[kind], place)
        for place, (kind, title) in enumerate(titles(study).items(), start=1)
    ]


def _leaderboard(study: Study, only: str, known: Known) -> State:
    place = ["replicate", "seed"] if study.search.replicates > 1 else ["seed"]
    columns = [_metric(name) for name in _judged(study)] + ["tags.`failure`", *map(_param, ["lr", *place])]
    return _page(_shown(study, known) + only, primary_metric(study), columns) | {"groupBy": BY_METHOD}


def _best(study: Study, only: str) -> State:
    columns = [_metric("final/val_nelbo"), _metric("final/best_epoch"), *(_param(name) for name in _searched(study))]
    return _page("tags.best = 'yes' and tags.stage = 'search'" + only, "final/val_nelbo", columns)


def _curves(study: Study, only: str, known: Known, final_nelbo: Sequence[float]) -> State:
    lines = [_line("zoom", "val/nelbo", range=_zoom(final_nelbo))] if final_nelbo else []
    lines += [_line(name, name) for name in CURVES]
    lines.append(_line("time", "val/nelbo", xAxisKey="time-relative"))
    bar = _chart("BAR", "result", "result", metricKey=primary_metric(study))
    title = "Learning curves in nats" + ("; the first is zoomed" if final_nelbo else "")
    sections = [Section("curves", title, 2), Section("result", "Result", 2)]
    page = _page(_shown(study, known) + only, primary_metric(study), [_metric(primary_metric(study))])
    return page | {"groupBy": BY_METHOD} | _charts(sections, [*lines, bar], known)


def _reconstructions(study: Study, only: str, known: Known) -> State:
    grid = _chart("IMAGE", "all", "images", imageKeys=list(KINDS), step=1, showRunParams=False)
    seed = f" and params.seed = '{SEED_SHOWN}'"
    page = _page(_shown(study, known) + seed + only, primary_metric(study), [_metric(primary_metric(study))])
    section = Section("images", "Reconstructions; the slider turns the sheets over", 1, height=540)
    return page | _charts([section], [grid], known)


def _search(study: Study, only: str, known: Known) -> State:
    target = "final/val_nelbo"
    # MLflow leaves a run out that lacks an axis, so these are what every method searches.
    common = [name for name in _searched(study) if all(name in searched(study, method) for method in study.methods)]
    axes = ["method", *("log10_lr" if name == "lr" else name for name in common)]
    scatter_axes = {"xaxis": {"key": "log10_lr", "type": "PARAM"}, "yaxis": {"key": target, "type": "METRIC"}}
    charts = [
        _chart("PARALLEL", "all", "search", selectedParams=axes, selectedMetrics=[target], showAllRuns=False),
        _chart("SCATTER", "rate", "rate", **scatter_axes),
    ]
    page = _page(
        # A diverged trial's value would take the whole of the colour scale.
        "tags.stage = 'search' and tags.outcome = 'done' and tags.failure != 'diverged'" + only,
        target,
        [_metric(target), *(_param(name) for name in _searched(study))],
    )
    sections = [Section("search", "What was searched", 1), Section("rate", "Learning rate", 2)]
    return page | _charts(sections, charts, known)


def _page(search: str, order: str, columns: Sequence[str]) -> State:
    return {
        "searchFilter": search,
        "orderByKey": _metric(order),
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
        "columnOrder": list(columns),
        "columnWidths": dict.fromkeys(columns, 150),
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "SHOWALL",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
    }


def _charts(sections: Sequence[Section], charts: Sequence[Chart], known: Known) -> State:
    shown = {chart.get("metricKey") for chart in charts}
    away = {"deleted": True, "isGenerated": True}
    last = sections[-1].uuid
    hidden = [_chart("BAR", name, last, metricKey=name, **away) for name in sorted(known.metrics - shown)]
    hidden += [_chart("IMAGE", kind, last, imageKeys=[kind], **away) for kind in KINDS]
    opened = [section.state() for section in sections]
    return {"compareRunCharts": [*charts, *hidden], "compareRunSections": opened, "isAccordionReordered": True}


def _chart(kind: str, uuid: str, section: str, **options: Any) -> Chart:
    card = {"type": kind, "uuid": f"{kind}-{uuid}", "metricSectionId": section, "deleted": False, "isGenerated": False}
    return card | options


def _line(uuid: str, metric: str, **options: Any) -> Chart:
    line = _chart(
        "LINE",
        uuid,
        "curves",
        metricKey=metric,
        selectedMetricKeys=[metric],
        lineSmoothness=0,
        xAxisKey="step",
        useGlobalXaxisKey=False,
    )
    return line | options


def _zoom(final_nelbo: Sequence[float]) -> dict[str, float]:
    # From just below the best to well above the middle run: where methods differ, whatever the worst one did.
    ranked = sorted(final_nelbo)
    low, middle = ranked[0], ranked[len(ranked) // 2]
    span = max(2.0 * (middle - low), 0.05 * abs(low))
    return {"yMin": math.floor(low - 0.2 * span), "yMax": math.ceil(low + 2.0 * span)}


def _shown(study: Study, known: Known) -> str:
    if not study.confirm.seeds:
        return "tags.stage = 'search' and tags.outcome = 'done'"
    # A study with several budgets, or one that has grown, has also confirmed trials that did not win in the end.
    return "tags.stage = 'confirm'" + (" and tags.best = 'yes'" if known.decided else "")


def _judged(study: Study) -> list[str]:
    first = primary_metric(study)
    others = [name for name in PRIMARY.values() if name != first] if study.confirm.seeds else []
    test = [*others, "final/test_active_units", "final/val_nelbo"] if study.confirm.seeds else []
    return [first, *test, "final/epochs"]


def _searched(study: Study) -> list[str]:
    return list(dict.fromkeys(name for method in study.methods for name in searched(study, method)))


def _metric(name: str) -> str:
    return f"metrics.`{name}`"


def _param(name: str) -> str:
    return f"params.`{name}`"
