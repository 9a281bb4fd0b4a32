"""What a person sees: the saved views in a real browser, since MLflow documents neither tag nor state."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.conftest import program
from tests.tracking import synthetic
from tests.tracking.conftest import Server, store_uri
from vaestudy.outputs import KINDS
from vaestudy.tracking import Shipper, study_url
from vaestudy.tracking.views import titles

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SECONDS = 60
METHODS = ("adam", "ivon", "rmsprop", "sgd")
QUICKSTART = Path(__file__).parents[2] / "studies" / "quickstart.yaml"
SMALL = (
    "search.trials=3",
    "search.replicates=1",
    "resources.population=1",
    "train.evaluate_every=1",
    "confirm.seeds=2",
    "confirm.sources=1",
    "target.seeds=2",
    "train.epochs=20",
    "confirm.iwae_samples=20",
)
ERRORS = ("Error loading", "Something went wrong", "No images found", "No matching runs", "No charts", "not found")
"""What MLflow says on a page that shows less than it should."""
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1600,1900",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "chromium-browser", "google-chrome")
    for option in OPTIONS:
        options.add_argument(option)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(program("chromedriver")))
    yield driver
    driver.quit()


@dataclass(frozen=True)
class Shown:
    """A study on a server.

    Attributes:
        trials: how many ended trials the search view shows; None where training decides.
        seeds: how many confirmation runs a method has.
    """

    address: str
    experiment: str
    trials: int | None
    seeds: int


@pytest.fixture(scope="module")
def made_up(server: Server, results: Path, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A whole study whose numbers are known."""
    folder = tmp_path_factory.mktemp("pages")
    synthetic.write_study(folder)
    shipper = Shipper(
        synthetic.study("pages"),
        synthetic.STUDY_HASH,
        folder,
        store_uri(results),
        command="vaestudy launch x.yaml",
        run_figures=lambda record, attempt: {},
        study_files=lambda study: {},
        answers=lambda study: ["adam is ahead."],
    )
    shipper.finish()
    return Shown(server.address, _experiment(folder), trials=16, seeds=3)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The quickstart study as a user launches it, with fewer and shorter runs."""
    results = tmp_path_factory.mktemp("quickstart")
    command = [sys.executable, "-m", "vaestudy", "launch", str(QUICKSTART), *SMALL, "--results", str(results)]
    subprocess.run(command, check=True, capture_output=True, cwd=results)
    running = Server(results)
    yield Shown(running.address, _experiment(results / "quickstart"), trials=None, seeds=2)
    running.kill()


def _experiment(folder: Path) -> str:
    return str(json.loads((folder / "shipped.json").read_text())["experiment_id"])


@pytest.fixture(params=["made_up", "quickstart"])
def shown(request: pytest.FixtureRequest) -> Shown:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Shown)
    return found


def read(browser: webdriver.Chrome, url: str, *awaited: str) -> str:
    """The text of a page once it shows all that is awaited, and no error."""
    browser.get("about:blank")
    browser.get(url)

    def text() -> str:
        return browser.find_element(By.TAG_NAME, "body").text

    WebDriverWait(browser, SECONDS).until(lambda _: all(word in text() for word in awaited), f"{awaited} at {url}")
    page = text()
    assert [error for error in ERRORS if error in page] == []
    return page


def drawn(browser: webdriver.Chrome, selector: str, least: int) -> None:
    """Waits until so many elements are there, e.g. charts."""
    WebDriverWait(browser, SECONDS).until(
        lambda _: len(browser.find_elements(By.CSS_SELECTOR, selector)) >= least, f"{least} of {selector}"
    )


def test_the_leaderboard_has_every_seed_of_every_method(browser: webdriver.Chrome, shown: Shown) -> None:
    groups = [f"Group: {method}" for method in METHODS]
    page = read(browser, study_url(shown.address, shown.experiment, "leaderboard"), *groups, "final/test_nelbo")
    assert f"{shown.seeds * len(METHODS)} matching runs" in page


def test_the_leaderboard_ranks_methods_by_mean(browser: webdriver.Chrome, made_up: Shown) -> None:
    groups = [f"Group: {method}" for method in METHODS]
    page = read(browser, study_url(made_up.address, made_up.experiment, "leaderboard"), *groups)
    assert sorted(groups, key=page.index) == groups
    assert "adam #002 seed 1" in page


def test_the_learning_curves_are_lines_of_groups(browser: webdriver.Chrome, shown: Shown) -> None:
    groups = [f"Group: {method}" for method in METHODS]
    url = study_url(shown.address, shown.experiment, "curves")
    page = read(browser, url, *groups, "the first is zoomed", "Result", "(val/nelbo)")
    drawn(browser, ".js-plotly-plot .scatterlayer .trace", least=2 * len(METHODS))
    assert "kl_dim" not in page
    assert "Image grid" not in page


def test_the_search_shows_what_was_searched(browser: webdriver.Chrome, shown: Shown) -> None:
    trials = [f"{method} #00" for method in METHODS]
    page = read(browser, study_url(shown.address, shown.experiment, "search"), "Parallel Coordinates", *trials)
    drawn(browser, ".parcoords canvas", least=1)
    drawn(browser, ".js-plotly-plot .scatterlayer .point", least=len(METHODS))
    assert shown.trials is None or f"{shown.trials} matching runs" in page


def test_the_best_settings_are_one_a_method(browser: webdriver.Chrome, shown: Shown) -> None:
    trials = [f"{method} #00" for method in METHODS]
    read(browser, study_url(shown.address, shown.experiment, "best"), *trials, "4 matching runs")


def test_the_reconstructions_stand_beside_each_other(browser: webdriver.Chrome, shown: Shown) -> None:
    runs = [f"{method} #00" for method in METHODS]
    read(browser, study_url(shown.address, shown.experiment, "reconstructions"), "Image grid", *KINDS, *runs)
    drawn(browser, "img[src*='compressed'], img[src^='blob:']", least=len(KINDS) * len(METHODS))
    drawn(browser, "[role='slider']", least=1)


def test_mlflows_menu_lists_the_views_in_order(browser: webdriver.Chrome, made_up: Shown) -> None:
    read(browser, study_url(made_up.address, made_up.experiment, "leaderboard"), "1 Leaderboard")
    browser.find_element(By.CSS_SELECTOR, "[data-testid='saved-views-trigger']").click()
    names = [f"{place} {title}" for place, title in enumerate(titles(synthetic.study()).values(), start=1)]
    drawn(browser, "[role='menu']", least=1)
    menu = browser.find_element(By.CSS_SELECTOR, "[role='menu']").text
    assert sorted(names, key=menu.index) == names
