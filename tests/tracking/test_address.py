"""Where MLflow is, and the messages where it is not."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.fixtures.certificates import Authority, Certificate
from vaestudy.errors import ServiceError, UsageError
from vaestudy.tracking import preflight, run_url, study_url, tracking_uri, ui_command
from vaestudy.tracking.address import settings, without_login


def test_sqlite_lies_beside_the_results(tmp_path: Path) -> None:
    assert tracking_uri("sqlite", tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_none_is_no_address(tmp_path: Path) -> None:
    assert tracking_uri("none", tmp_path) is None


def test_an_address_is_taken_as_it_is(tmp_path: Path) -> None:
    assert tracking_uri("http://mlflow.lab:5000/", tmp_path) == "http://mlflow.lab:5000"


def test_a_name_is_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESTUDY_CREDENTIAL_LAB", "https://ann:s%40fe@mlflow.lab")
    assert tracking_uri("lab", tmp_path) == "https://ann:s%40fe@mlflow.lab"


@pytest.mark.parametrize(
    "where", ["ftp://mlflow.lab", "http://", "postgresql://ann:hush@lab/db", "http://ann:hush@lab"]
)
def test_another_address_is_refused_without_repeating_it(tmp_path: Path, where: str) -> None:
    with pytest.raises(UsageError, match=r"tracking\.mlflow: ") as caught:
        tracking_uri(where, tmp_path)
    assert "hush" not in str(caught.value)


def test_a_credential_that_holds_no_http_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESTUDY_CREDENTIAL_LAB", "postgresql://ann:hush@lab/db")
    with pytest.raises(UsageError, match="credential 'lab': expected") as caught:
        tracking_uri("lab", tmp_path)
    assert "hush" not in str(caught.value)


def test_the_login_goes_to_mlflow_by_its_environment() -> None:
    given = settings("https://ann:s%40fe@mlflow.lab")
    assert (given["MLFLOW_TRACKING_USERNAME"], given["MLFLOW_TRACKING_PASSWORD"]) == ("ann", "s@fe")
    assert without_login("https://ann:s%40fe@mlflow.lab:8443/x") == "https://mlflow.lab:8443/x"


def test_an_option_of_mlflow_that_is_no_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "abc")
    with pytest.raises(UsageError, match="MLFLOW_HTTP_REQUEST_MAX_RETRIES: expected a whole number, got 'abc'"):
        preflight(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_server_that_is_not_there_is_named_with_a_test() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(ServiceError, match=f"{address} does not answer.* test it with: curl {address}/health"):
        preflight(address)


@contextmanager
def bouncer_of(certificate: Certificate | None = None) -> Iterator[str]:
    """A server that lets nobody in."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(401)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate.certificate, certificate.key)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def bouncer() -> Iterator[str]:
    with bouncer_of() as address:
        yield address


def test_a_server_that_refuses_us_is_named_without_the_password(bouncer: str) -> None:
    with pytest.raises(ServiceError, match=r"refuses us.* check the login") as caught:
        preflight(f"http://ann:hush@{bouncer}")
    assert "hush" not in str(caught.value)


def test_a_server_is_trusted_by_the_authority_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    with bouncer_of(authority.issue("localhost", "127.0.0.1")) as address:
        with pytest.raises(ServiceError, match="not trusted here; let MLFLOW_TRACKING_SERVER_CERT_PATH name its"):
            preflight(f"https://ann:hush@{address}")
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(authority.certificate))
        with pytest.raises(ServiceError, match="refuses us"):
            preflight(f"https://ann:hush@{address}")


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"])
def test_a_certificate_of_mlflow_that_cannot_be_read_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/nowhere/ca.pem")
    with pytest.raises(UsageError, match=f"{name}: expected a file that can be read, got '/nowhere/ca.pem'"):
        preflight("https://mlflow.lab")


def test_preflight_leaves_the_environment_as_it_was(bouncer: str) -> None:
    before = dict(os.environ)
    with pytest.raises(ServiceError):
        preflight(f"http://ann:hush@{bouncer}")
    assert dict(os.environ) == before


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("something else, long enough to be no SQLite header at all\n" * 40)
    with pytest.raises(ServiceError, match=f"{tmp_path}/mlflow.db cannot be used"):
        preflight(f"sqlite:///{tmp_path}/mlflow.db")


def test_links_open_the_pages_for_training() -> None:
    assert study_url("http://h:1/", "7", "leaderboard") == (
        "http://h:1#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey=leaderboard"
    )
    assert study_url("http://h:1", "7", "curves").endswith("&compareRunsMode=CHART")
    assert run_url("http://h:1", "7", "ab") == "http://h:1#/experiments/7/runs/ab?workflowType=machine_learning"


def test_a_local_store_is_served_on_the_loopback_address_only(tmp_path: Path) -> None:
    command = ui_command(f"sqlite:///{tmp_path}/mlflow.db", tmp_path, port=5001)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert ui_command("http://mlflow.lab", tmp_path) == []
