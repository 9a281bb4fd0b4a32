"""``vaestudy ui`` as a user starts and ends it."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from tests.fixtures.addresses import free_port, healthy
from tests.launched import finished, until, vaestudy
from tests.tracking.conftest import store_uri
from vaestudy.cli.main import main
from vaestudy.tracking import preflight


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_ends_with_the_command(tmp_path: Path, number: signal.Signals) -> None:
    preflight(store_uri(tmp_path))
    port = free_port()
    command = vaestudy("ui", "--port", str(port), results=tmp_path)
    until(lambda: healthy(f"http://127.0.0.1:{port}"), command)
    command.send_signal(number)
    out, _ = finished(command, seconds=60)
    assert out == f"http://127.0.0.1:{port}/?workflowType=machine_learning\n"
    assert not healthy(f"http://127.0.0.1:{port}")


def test_a_port_that_is_taken_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["ui", "--port", port, "--results", str(tmp_path)]) == 4
    out, err = capsys.readouterr()
    assert not out
    assert f"port {port} is taken; name another one with --port" in err


@pytest.mark.slow
def test_a_server_that_ends_by_itself_says_how_to_see_why(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database")
    command = vaestudy("ui", "--port", str(free_port()), results=tmp_path)
    _, err = finished(command, code=4, seconds=120)
    assert "MLflow's server has ended (exit code 1); to see why: env " in err
