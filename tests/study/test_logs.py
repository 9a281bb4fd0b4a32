"""The logs of a study: what a program reads there, and what people do."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest

from vaestudy.errors import DiskError
from vaestudy.study.logs import in_words, logging_to, read

LOG = logging.getLogger("vaestudy.tests")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "driver.log"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_an_object_with_its_time_in_utc(path: Path) -> None:
    before = time.time()
    with logging_to(path, "first"):
        LOG.warning("%d runs lost\ntheir worker", 2, extra={"runs": ["u1", "u2"]})
    (line,) = lines(path)
    said = line.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said)
    logged = time.mktime(time.strptime(said[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert int(before) <= logged <= time.time()
    assert line == {
        "level": "WARNING",
        "logger": "vaestudy.tests",
        "message": "2 runs lost\ntheir worker",
        "study": "first",
        "runs": ["u1", "u2"],
    }


def test_what_ends_a_study_is_logged_with_its_traceback_in_one_field_where_it_is_ours(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), logging_to(path, "first"):
        1 / 0
    with pytest.raises(DiskError), logging_to(path, "first"):
        raise DiskError("no space")
    crashed, ended = lines(path)
    assert crashed["exception"].startswith("Traceback (most recent call last):\n")
    assert crashed["exception"].endswith("ZeroDivisionError: division by zero")
    assert (ended["level"], ended["message"]) == ("ERROR", "no space")
    assert "exception" not in ended


@pytest.mark.parametrize("login", ["lab:s3cret", "lab:s3:c@ret", ":s3cret", "s3cret"])
def test_no_login_of_an_address_is_logged_whoever_logs_it(path: Path, login: str) -> None:
    with pytest.raises(ValueError), logging_to(path, "first"):
        logging.getLogger("elsewhere").warning("cannot reach postgresql://%s@db:5432/trials", login)
        raise ValueError(f"postgresql://{login}@db:5432/trials")
    assert "c@ret" not in path.read_text()
    assert "s3" not in path.read_text()
    assert lines(path)[0]["message"] == "cannot reach postgresql://***@db:5432/trials"


def test_other_programs_words_are_logged_only_as_warnings(path: Path) -> None:
    with logging_to(path, "first"):
        logging.getLogger("elsewhere").info("chatter")
        LOG.info("word")
    assert [line["message"] for line in lines(path)] == ["word"]


def test_several_logs_are_read_by_time_with_what_was_printed_where_it_stood(path: Path, tmp_path: Path) -> None:
    def line(second: int, message: str) -> str:
        return json.dumps({"time": f"2026-01-01T00:00:0{second}.000Z", "message": message}) + "\n"

    path.write_text(line(1, "one") + line(3, "three"))
    (tmp_path / "shipper.log").write_text("printed first\n" + line(2, "two") + '{"no": "log"}\n' + line(4, "four"))
    told = read(path, tmp_path / "shipper.log", tmp_path / "none.log")
    assert [entry["message"] for entry in told] == ["printed first", "one", "two", '{"no": "log"}', "three", "four"]
    assert told[3]["time"] == "2026-01-01T00:00:02.000Z"


def test_people_read_local_time_and_the_traceback_below(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    line = {"time": "2026-01-01T00:00:02.000Z", "level": "ERROR", "logger": "vaestudy.x", "message": "internal error"}
    assert in_words(line) == "2026-01-01 02:00:02 ERROR vaestudy.x internal error"
    assert in_words({**line, "exception": "Traceback:\n  x"}).endswith(" internal error\nTraceback:\n  x")
    assert in_words({"time": "", "message": "printed first"}) == "printed first"
    monkeypatch.undo()
    time.tzset()
