"""Links from numbers to their runs in MLflow."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.made_up import Builder
from vaestudy.analysis.findings import findings
from vaestudy.analysis.frames import Records, load
from vaestudy.analysis.links import Links
from vaestudy.analysis.page import page

TRACKED = {"mlflow": "http://127.0.0.1:5000", "experiment": "7"}


def asked(link: str) -> dict[str, list[str]]:
    """What the page is asked for: MLflow is one page, whose route stands behind the #."""
    return parse_qs(urlsplit(urlsplit(link).fragment).query)


class Addresses(HTMLParser):
    """The addresses that a page links to."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attributes if tag == "a" and name == "href" and value]


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> Records:
    builder = Builder(tmp_path_factory.mktemp("linked"))
    for method in ("sgd", "adam"):
        builder.search(method, [28.0])
        builder.confirm(method, 0, [28.0, 29.0])
    return load(builder.folder)


def addresses(records: Records, facts: dict[str, object]) -> list[str]:
    linked = Records({**records.facts, **facts}, records.runs, records.metrics, records.pictures)
    return Addresses(page(linked, findings(linked), {}).decode()).found


def test_a_link_opens_the_runs_of_the_studys_experiment() -> None:
    link = Links(TRACKED).runs(cell="w/adam", stage="confirm")
    assert link.startswith("http://127.0.0.1:5000/#/experiments/7/runs?")
    assert asked(link)["workflowType"] == ["machine_learning"]


def test_a_link_asks_for_the_runs_that_have_all_tags() -> None:
    link = Links(TRACKED).runs(cell="w/adam", stage="confirm")
    assert asked(link)["searchFilter"] == ["tags.cell = 'w/adam' and tags.stage = 'confirm'"]


@pytest.mark.parametrize(("stage", "metric"), [("confirm", "final/test_nll"), ("search", "final/val_nelbo")])
def test_a_link_shows_the_best_runs_first(stage: str, metric: str) -> None:
    found = asked(Links(TRACKED).runs(stage=stage))
    assert (found["orderByKey"], found["orderByAsc"]) == ([f"metrics.`{metric}`"], ["true"])


@pytest.mark.parametrize("missing", ["mlflow", "experiment"])
@pytest.mark.parametrize("absent", [{}, None], ids=["no such fact", "an empty one"])
def test_without_mlflow_there_is_no_link(missing: str, absent: dict[str, object] | None) -> None:
    facts = {name: value for name, value in TRACKED.items() if name != missing}
    assert Links(facts if absent == {} else {**facts, missing: absent}).runs(stage="confirm") == ""


def test_the_pages_numbers_link_to_their_runs(confirmed: Records) -> None:
    wanted = {asked(link)["searchFilter"][0] for link in addresses(confirmed, TRACKED) if "searchFilter" in link}
    assert wanted >= {
        f"tags.cell = 'w/{method}' and tags.stage = '{stage}'"
        for method in ("sgd", "adam")
        for stage in ("search", "confirm")
    }


def test_the_page_of_a_study_without_mlflow_links_to_no_server(confirmed: Records) -> None:
    assert [link for link in addresses(confirmed, {"mlflow": None}) if not link.startswith("#")] == []
