"""Where MLflow is: from the study file's word to an address, whether it answers, and how to look at it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from vaestudy.credentials import credential
from vaestudy.errors import ServiceError, UsageError
from vaestudy.tracking.pages import APP

if TYPE_CHECKING:
    from vaestudy.tracking.store import Store

SQLITE = "sqlite:///"
TIMEOUT_SECONDS = 10
NUMBERS = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR")
"""Variables of MLflow that must be whole numbers; it fails in the middle of a study where they are not."""

FILES = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH")
"""Variables of MLflow that name what TLS needs where the server's authority is not a public one."""

CHARTS = ("curves", "search", "reconstructions")
"""The saved views that are charts; the others are tables."""

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def tracking_uri(where: str, results: Path) -> str | None:
    """The address of MLflow for ``tracking.mlflow`` of a study file; None for ``none``.

    Args:
        where: ``sqlite`` (a store beside the results), ``none``, an http(s) address, or the name of a credential.

    Raises:
        UsageError: it is none of these, or an address in the study file holds a password.
    """
    if where == "none":
        return None
    if where == "sqlite":
        return f"{SQLITE}{results.absolute() / 'mlflow.db'}"
    if "://" not in where:
        return _checked(credential(where), f"credential {where!r}")
    if "@" in urlsplit(where).netloc:
        raise UsageError(
            "tracking.mlflow: an address with a password does not belong in a study file; "
            "put it into VAESTUDY_CREDENTIAL_<NAME> and write that name"
        )
    return _checked(where, "tracking.mlflow")


def preflight(uri: str) -> None:
    """Asks the store one question, so that a wrong address is known before any trial; creates a missing SQLite store.

    Raises:
        ServiceError: it does not answer within about ten seconds, or refuses us.
        UsageError: a variable of MLflow's in the environment cannot be used.
    """
    check_environment()
    if uri.startswith(SQLITE):
        _make_folder(store_file(uri))
    with _environment(settings(uri)):
        _open(uri).ping()


def check_environment() -> None:
    """Looks at the variables that MLflow reads.

    Raises:
        UsageError: one is not a whole number, or names a file that cannot be read.
    """
    for name in NUMBERS:
        if not os.environ.get(name, "0").isdigit():
            raise UsageError(f"{name}: expected a whole number, got {os.environ[name]!r}; unset it or set it to one")
    for name in FILES:
        if os.environ.get(name) and not os.access(os.environ[name], os.R_OK):
            raise UsageError(f"{name}: expected a file that can be read, got {os.environ[name]!r}")


def connect(uri: str) -> Store:
    """A connection for the rest of this process, whose environment it sets: MLflow takes its options from there.

    MLflow's own retries are off. They repeat a request whose reply was lost, and so double runs; the shipper looks
    before it creates.
    """
    os.environ.update(settings(uri))
    return _open(uri)


def settings(uri: str) -> dict[str, str]:
    """The environment in which MLflow's client is used."""
    parts = urlsplit(uri)
    login = {"MLFLOW_TRACKING_USERNAME": parts.username, "MLFLOW_TRACKING_PASSWORD": parts.password}
    return {
        **QUIET,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", str(TIMEOUT_SECONDS)),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        **{name: unquote(value) for name, value in login.items() if value is not None},
    }


def ui_command(uri: str, results: Path, port: int = 5000) -> list[str]:
    """The command that serves a local store's pages on the loopback address; empty where a server has them already."""
    if not uri.startswith(SQLITE):
        return []
    return [
        "env",
        *(f"{name}={value}" for name, value in QUIET.items()),
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--app-name",
        APP,
        "--backend-store-uri",
        uri,
        "--artifacts-destination",
        (results.absolute() / "mlartifacts").as_uri(),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]


def study_url(base: str, experiment_id: str, view: str = "") -> str:
    """The address of a study's page, opened on one of its saved views.

    Args:
        base: the server's address; empty for a link within MLflow's own pages.
        view: a saved view: ``leaderboard``, ``curves``, ``search``, ``best`` or ``reconstructions``; in a study of
            several workloads ``<view>-<workload>``.
    """
    share = f"&viewStateShareKey={view}" if view else ""
    # Only an address can ask for charts: no saved view does, which is why MLflow's own menu opens tables.
    mode = "&compareRunsMode=CHART" if view.partition("-")[0] in CHARTS else ""
    return f"{base.rstrip('/')}{_page(experiment_id, 'runs')}{share}{mode}"


def run_url(base: str, experiment_id: str, run_id: str) -> str:
    """The address of one run's page."""
    return f"{base.rstrip('/')}{_page(experiment_id, f'runs/{run_id}')}"


def store_file(uri: str) -> Path:
    """The file of a SQLite store."""
    return Path(uri.removeprefix(SQLITE))


def without_login(uri: str) -> str:
    """An address that may be shown: no user, no password."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _open(uri: str) -> Store:
    # Imported late: MLflow takes two seconds to import, and reads some of its environment while it does.
    from vaestudy.tracking.store import Store

    return Store(without_login(uri) if not uri.startswith(SQLITE) else uri)


def _page(experiment_id: str, page: str) -> str:
    # Without the type, a fresh browser opens MLflow's pages for language models.
    return f"#/experiments/{experiment_id}/{page}?workflowType=machine_learning"


def _checked(address: str, place: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{place}: expected sqlite, none, http://HOST:PORT, or the name of a credential that holds "
            f"such an address; got an address of scheme {parts.scheme!r}"
        )
    return address.rstrip("/")


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceError(
            f"the MLflow store {path} cannot be created: {error.strerror}; test it with: touch {path}"
        ) from error


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    # Restored afterwards: workers inherit the driver's environment, and a login has no business there.
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
