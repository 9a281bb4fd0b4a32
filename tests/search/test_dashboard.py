"""Optuna's own pages, as a user opens them."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.fixtures.addresses import free_port
from tests.launched import until, vaestudy
from tests.made_up import Builder
from vaestudy.cli.main import main
from vaestudy.search import open_storage


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A results folder with a study whose trial database has one search in it."""
    builder = Builder(tmp_path)
    storage = open_storage("sqlite", builder.folder)
    storage.create_new_study([], "made-up/w/adam")
    storage.close()
    return tmp_path


def _asked(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=60) as reply:
            return str(reply.read().decode())
    except OSError:
        return ""


def _refusal(method: str, address: str) -> int:
    with pytest.raises(urllib.error.HTTPError, match="Method Not Allowed") as refused:
        urllib.request.urlopen(urllib.request.Request(address, b"{}", method=method), timeout=60)
    return refused.value.code


def test_the_searches_of_a_study_are_served_until_ctrl_c(made_up: Path) -> None:
    port = free_port()
    process = vaestudy("ui", "made-up", "--optuna", "--port", str(port), results=made_up)
    until(lambda: bool(_asked(f"http://127.0.0.1:{port}/api/studies")), process)
    summaries = json.loads(_asked(f"http://127.0.0.1:{port}/api/studies"))["study_summaries"]
    assert [summary["study_name"] for summary in summaries] == ["made-up/w/adam"]
    assert _refusal("DELETE", f"http://127.0.0.1:{port}/api/studies/1") == 405
    assert _refusal("POST", f"http://127.0.0.1:{port}/api/studies") == 405
    assert json.loads(_asked(f"http://127.0.0.1:{port}/api/studies"))["study_summaries"] == summaries
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == f"http://127.0.0.1:{port}/dashboard\n"


def test_a_port_that_is_taken_is_named(made_up: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["ui", "made-up", "--optuna", "--port", port, "--results", str(made_up)]) == 4
    out, err = capsys.readouterr()
    assert not out
    assert f"port {port} is taken; name another one with --port" in err


def test_a_study_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", "--optuna"]) == 2
    assert "ui --optuna takes the NAME of a study" in capsys.readouterr().err
