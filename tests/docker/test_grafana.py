"""The dashboard, the page that describes it, and the code that measures speak of the same metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.launched import ROOT
from vaestudy.execution import METRICS
from vaestudy.study.status import Arm

BOARD = json.loads((ROOT / "docker" / "grafana" / "vaestudy.json").read_text())
LABELS = {metric.served_as: set(metric.labels) for metric in METRICS}
NAME = re.compile(r"\bray_\w+")
SELECTOR = re.compile(r"(ray_\w+)\{([^}]*)\}")


def found(key: str, part: Any = BOARD) -> Iterator[str]:
    """All strings of this key, however deep."""
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == key and isinstance(value, str))
    if isinstance(part, (dict, list)):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from found(key, inner)


def targets() -> list[dict[str, str]]:
    return [target for panel in BOARD["panels"] for target in panel["targets"]]


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    assert {name for expression in found("expr") for name in NAME.findall(expression)} == set(LABELS)


def test_every_label_is_one_of_its_metrics() -> None:
    for expression in found("expr"):
        (labels,) = {frozenset(LABELS[name]) for name in NAME.findall(expression)}
        chosen = [re.findall(r"(\w+)\s*[!=]", inside) for _, inside in SELECTOR.findall(expression)]
        grouped = [group.replace(" ", "").split(",") for group in re.findall(r"by \(([^)]*)\)", expression)]
        assert chosen and grouped, expression
        assert {label for group in [*chosen, *grouped] for label in group} <= labels, expression
    for target in targets():
        (shown, *_) = re.findall(r"by \(([^)]*)\)", target["expr"])
        assert re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]) == shown.replace(" ", "").split(",")


def test_every_state_that_is_chosen_is_one() -> None:
    states = {state for expression in found("expr") for state in re.findall(r'state\W+"([^"]*)"', expression)}
    assert states
    assert {name for state in states for name in state.split("|")} <= set(Arm("w/m", "m", *[0] * 9).states)


def test_the_studies_to_choose_from_are_those_that_are_measured() -> None:
    queries = [variable["query"] for variable in BOARD["templating"]["list"] if variable["type"] == "query"]
    asked = [re.fullmatch(r"label_values\((\w+), (\w+)\)", query) for query in queries]
    assert asked
    assert all(match and match[2] in LABELS[match[1]] for match in asked)


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_page_lists_every_metric_with_its_labels() -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    rows = re.findall(r"^\| `(ray_\w+)` \| ([\w, ]+) \|", page, re.M)
    assert {name: set(labels.split(", ")) for name, labels in rows} == LABELS
