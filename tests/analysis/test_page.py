"""The page as a person sees it: in a real browser, from a file, without network."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.analysis.values import around
from tests.conftest import program
from tests.made_up import Builder, study
from vaestudy.analysis.export import export

METHODS = ("sgd", "adam", "rmsprop")
SECTIONS = {
    "table": "Comparison",
    "curves": "Learning curves",
    "target": "Time to target",
    "aggregates": "Over all workloads",
    "budgets": "What a budget buys",
    "failures": "Failures and collapse",
    "fronts": "Rate and distortion",
    "sensitivity": "Sensitivity",
    "pictures": "Reconstructions and samples",
    "claims": "Claims",
    "audits": "Audits",
    "plan": "Plan and hashes",
}
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "chromium-browser", "google-chrome")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for option in OPTIONS:
        options.add_argument(option)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(program("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(browser: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory) -> webdriver.Chrome:
    """The browser with the page of a study in which every section has something to say."""
    made = study(METHODS, trials=6, seeds=6, workloads=("w", "v"), target={"nats": {"w": 30.0, "v": 30.0}})
    builder = Builder(tmp_path_factory.mktemp("page"), made)
    for workload in ("w", "v"):
        for index, method in enumerate(METHODS):
            builder.search(method, [28.0 + index, 30.0, 33.0, 49.5, None, 40.0], workload=workload)
            builder.confirm(method, 0, [*around(27.0 + index, 5), 49.8 if method == "sgd" else 27.0], workload=workload)
    out = tmp_path_factory.mktemp("out")
    export(builder.folder, ["html"], out)
    browser.set_window_size(1400, 1000)
    browser.get((out / "report.html").as_uri())
    return browser


def test_the_page_opens_without_an_error_in_the_console(page: webdriver.Chrome) -> None:
    assert page.get_log("browser") == []  # type: ignore[no-untyped-call]  # selenium's


def test_the_page_asks_for_nothing_but_itself(page: webdriver.Chrome) -> None:
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]  # type: ignore[no-untyped-call]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_answer_and_table_name_every_method(page: webdriver.Chrome) -> None:
    answers = [answer.text for answer in page.find_elements(By.CLASS_NAME, "answer")]
    assert [answer.split(":")[0] for answer in answers] == ["w, best of 6 trials", "v, best of 6 trials"]
    assert "sgd" in answers[0]
    table = page.find_element(By.CSS_SELECTOR, "#table table").text
    assert all(method in table for method in METHODS)
    assert "17 % [0, 64]" in table


def test_every_section_is_there_and_in_the_navigation(page: webdriver.Chrome) -> None:
    for anchor, title in SECTIONS.items():
        assert page.find_element(By.CSS_SELECTOR, f"#{anchor} h2").text == title
        assert page.find_element(By.CSS_SELECTOR, f"nav a[href='#{anchor}']").text == title


def test_every_figure_is_drawn_and_says_what_it_shows(page: webdriver.Chrome) -> None:
    images = page.find_elements(By.TAG_NAME, "img")
    shown = {image.get_dom_attribute("alt") for image in images}
    assert {"comparison", "learning curves", "profile", "best of n", "time to target", "failure rates"} <= shown
    assert {"escape", "phases", "fronts", "learning rates", "w: originals", "v, adam: samples"} <= shown
    assert all(page.execute_script("return arguments[0].naturalWidth > 50", image) for image in images)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("width", [1400, 900])
def test_nothing_overflows_the_window(page: webdriver.Chrome, width: int) -> None:
    page.set_window_size(width, 1000)
    over = page.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")  # type: ignore[no-untyped-call]
    assert over == 0


def test_in_print_the_navigation_is_gone(page: webdriver.Chrome) -> None:
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not page.find_element(By.TAG_NAME, "nav").is_displayed()
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
