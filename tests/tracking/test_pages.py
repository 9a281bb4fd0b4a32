"""What a person sees: the saved views in a real browser, since MLflow documents neither tag nor state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.conftest import program
from tests.tracking import synthetic
from tests.tracking.conftest import Server, store_uri
from vaestudy.tracking import Shipper, study_url

pytestmark = pytest.mark.slow
SECONDS = 60
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


@pytest.fixture(scope="module")
def experiment(results: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a whole study in MLflow."""
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
    )
    shipper.finish()
    return str(json.loads((folder / "shipped.json").read_text())["experiment_id"])


def read(browser: webdriver.Chrome, url: str, *awaited: str) -> str:
    """The text of a page once it shows all that is awaited."""
    browser.get("about:blank")
    browser.get(url)

    def text() -> str:
        return browser.find_element(By.TAG_NAME, "body").text

    WebDriverWait(browser, SECONDS).until(lambda _: all(word in text() for word in awaited), f"{awaited} at {url}")
    return text()


def test_the_leaderboard_ranks_methods_by_mean(browser: webdriver.Chrome, server: Server, experiment: str) -> None:
    groups = [f"Group: {method}" for method in ("adam", "ivon", "rmsprop", "sgd")]
    page = read(browser, study_url(server.address, experiment, "leaderboard"), *groups, "final/test_nelbo")
    assert sorted(groups, key=page.index) == groups
    assert "12 matching runs" in page
    assert "adam #002 seed 1" in page


def test_the_learning_curves_are_lines_of_groups(browser: webdriver.Chrome, server: Server, experiment: str) -> None:
    lines = [f"{method} (val/nelbo)" for method in synthetic.LEVEL]
    page = read(browser, study_url(server.address, experiment, "curves"), "Learning curves", "Result", *lines)
    assert "kl_dim" not in page


def test_the_search_shows_what_was_searched(browser: webdriver.Chrome, server: Server, experiment: str) -> None:
    page = read(browser, study_url(server.address, experiment, "search"), "Parallel Coordinates", "log10_lr")
    assert "16 matching runs" in page


def test_the_best_settings_are_one_a_method(browser: webdriver.Chrome, server: Server, experiment: str) -> None:
    page = read(browser, study_url(server.address, experiment, "best"), "adam #002", "4 matching runs")
    assert "ivon #002" in page
