"""The Ray cluster a study runs on: a local one by default, or one at an address; quiet either way."""

from __future__ import annotations

import logging
import math
import os
import secrets
import shutil
import signal
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # no line of Ray's own is printed
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
}
"""Set before ray is imported. What Tune would print or save is either ours to say or nobody's to need."""

os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})

import ray  # noqa: E402  # after its environment
import torch  # noqa: E402
from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled  # noqa: E402
from ray._private.node import Node  # noqa: E402
from ray._private.utils import get_num_cpus  # noqa: E402
from ray._raylet import Config  # type: ignore[attr-defined]  # noqa: E402  # compiled
from ray.exceptions import AuthenticationError  # noqa: E402

from vaestudy.credentials import withheld  # noqa: E402
from vaestudy.errors import DiskError, ServiceError, UsageError  # noqa: E402
from vaestudy.spec.models import Resources  # noqa: E402

TLS_FILES = ("RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
"""Variables that name what Ray needs for TLS: each host is a server and a client to the others."""

OBJECT_STORE_BYTES = 100 * 2**20
"""Nothing of size passes through the object store: data sets are loaded by each worker."""

WITHIN = "auto"
"""The address that means the cluster which this machine belongs to."""

WORKERS_PER_GPU = 4

UNUSED = ("start_monitor", "start_log_monitor", "start_api_server")
"""What Ray starts for itself and a study does not need; ``ray.init`` has no switches for them."""

GRAINS = 10_000
"""Ray counts a resource in so many parts of one."""

SCRATCH_BYTES = 20 * 2**20
"""Free space that a local Ray needs at the least, for its logs and sockets' files."""

SCRATCH_CHARACTERS = 107 - len("/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
"""Of the path of Ray's temporary folder: a socket's path has at most 107."""


@dataclass(frozen=True)
class Cluster:
    """What a study got: workers at once, what each gets, and the device they train on."""

    address: str
    workers: int
    cpus: float
    gpus: float
    device: str

    @property
    def worker_resources(self) -> dict[str, float]:
        return {"CPU": self.cpus, "GPU": self.gpus}


def connect(resources: Resources, address: str | None) -> Cluster:
    """Starts a local Ray, or joins the one at ``address``.

    Raises:
        ServiceError: nothing answers there, it refuses us, or it has not what a worker needs.
    """
    warnings.filterwarnings("ignore", module=r"ray\..*")
    _ask_for_tokens()
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:  # its workers have our environment anyway; told so again, the ones Ray starts early lie idle
        _own_token()
        options |= {"address": "local", "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
        if resources.workers:  # Ray starts a process for each CPU, wanted or not
            options["num_cpus"] = min(get_num_cpus(), max(1, math.ceil(resources.workers * resources.cpus)))
        if not torch.cuda.is_available():  # Ray counts the machine's GPUs, also where torch can use none of them
            options["num_gpus"] = 0
    else:
        options["runtime_env"] = {"env_vars": {**QUIET, "OMP_NUM_THREADS": str(max(1, int(resources.cpus)))}}
    try:
        with withheld(), _lean(), _handlers_kept():
            ray.init(**options)
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            raise  # the disk's
        raise ServiceError(_refusal(address, error)) from error
    return share(resources, [node["Resources"] for node in ray.nodes() if node["Alive"]], address or "local")


@contextmanager
def _lean() -> Iterator[None]:
    """A Ray that starts while this lasts starts without what serves its dashboard, prints its logs here or adds hosts:
    each would take a second of processor while the first workers start."""
    kept = {name: getattr(Node, name) for name in UNUSED}
    for name in UNUSED:
        setattr(Node, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name, start in kept.items():
            setattr(Node, name, start)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Puts the process's signal handlers back at the end: Ray puts its own in their place, which abort."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _ask_for_tokens() -> None:
    """Nobody joins, or is joined, without a token, unless the environment says ``disabled``."""
    if not os.environ.get("RAY_AUTH_MODE"):
        os.environ["RAY_AUTH_MODE"] = "token"
    Config.initialize("")  # Ray has read its environment before


def _own_token() -> None:
    """A token for a Ray of this process's own, where none is named: in its environment, which its user alone may read;
    Ray would write one to a file."""
    if not _token_is_named():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def disconnect() -> None:
    """Leaves the cluster; a local one ends."""
    ray.shutdown()


def share(resources: Resources, hosts: Sequence[Mapping[str, float]], address: str) -> Cluster:
    """How many workers fit at once, each on one host and at most one of its GPUs.

    Args:
        hosts: what each has, by Ray's names.

    Raises:
        ServiceError: no host has what a worker needs.
    """
    wanted = resources.gpus
    some = any(host.get("GPU", 0.0) >= 1 for host in hosts)
    if resources.device == "cuda" and not some:
        raise ServiceError(f"resources.device is cuda, but Ray at {address} has no GPU; try resources.device=cpu")
    if resources.device == "cpu":
        wanted = 0.0
    elif wanted == 0 and some:
        wanted = 1 / WORKERS_PER_GPU
    fit = sum(_fit(host, resources.cpus, wanted) for host in hosts)
    if fit < 1:
        found = sorted({(host.get("CPU", 0.0), host.get("GPU", 0.0)) for host in hosts})
        raise ServiceError(
            f"a worker needs {resources.cpus:g} CPUs and {wanted:g} GPUs on one host, Ray at {address} has hosts with "
            + ", ".join(f"{cpus:g} and {gpus:g}" for cpus, gpus in found)
        )
    workers = min(fit, resources.workers or fit)
    return Cluster(address, workers, resources.cpus, wanted, "cuda" if wanted > 0 else "cpu")


def _fit(host: Mapping[str, float], cpus: float, gpus: float) -> int:
    """The workers that a host has room for; what is left of a GPU goes into no worker with what is left of another."""
    fit = _times(cpus, host.get("CPU", 0.0))
    return min(fit, int(host.get("GPU", 0.0)) * _times(gpus, 1.0)) if gpus > 0 else fit


def _times(part: float, whole: float) -> int:
    return round(whole * GRAINS) // max(1, round(part * GRAINS))


def check(resources: Resources, address: str | None) -> None:
    """Finds out what can be known to be missing before anything starts.

    Raises:
        UsageError: ``address`` is none, or TLS is asked for without its files. ServiceError: nothing answers there, we
            have no token for it, or this machine lacks the GPU it needs.
        DiskError: a local Ray would have no room for its temporary files.
    """
    _check_tls()
    if address not in (None, WITHIN):
        _check_address(address)
    if address is not None or _token_is_named():
        check_token(f"Ray at {address or 'this machine'}")
    if address is not None:
        return
    _check_scratch(Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"))  # noqa: S108  # as Ray does
    if resources.device == "cuda" and not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        raise ServiceError(
            f"resources.device is cuda, but torch sees no GPU on this machine (CUDA_VISIBLE_DEVICES: {visible}); "
            "try resources.device=cpu"
        )


def check_token(server: str) -> None:
    """Whether there is a token for a server of Ray's, where tokens are asked for.

    Raises:
        ServiceError: there is none; names the server.
    """
    _ask_for_tokens()
    try:
        ensure_token_if_auth_enabled(create_token_if_missing=False)
    except AuthenticationError as error:
        raise ServiceError(
            f"{server}: {error.message}; let RAY_AUTH_TOKEN_PATH name the file with the cluster's token, "
            "or set RAY_AUTH_MODE=disabled for a cluster that has none"
        ) from error


def _check_scratch(folder: Path) -> None:
    if len(str(folder.absolute())) > SCRATCH_CHARACTERS:
        raise UsageError(
            f"temporary folder {folder}: its path has more than {SCRATCH_CHARACTERS} characters, too many for Ray's "
            "sockets; let RAY_TMPDIR name a shorter one"
        )
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise DiskError(f"cannot use temporary folder {folder}: {error.strerror}; let TMPDIR name another") from error
    if free < SCRATCH_BYTES:
        raise DiskError(
            f"temporary folder {folder}: No space left on device ({free >> 20} MB free, Ray needs "
            f"{SCRATCH_BYTES >> 20}); free some, or let TMPDIR name another"
        )


def _check_address(address: str) -> None:
    """Asks whether anything listens at ``host:port``; Ray itself would try a dead address for minutes.

    Raises:
        UsageError: it is no address. ServiceError: nothing answers there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if "://" in host:
        raise UsageError(
            f"--address: expected host:port of Ray itself, got {address!r}; to let the driver run in the cluster: "
            "vaestudy submit"
        )
    if not host or not port.isdigit():
        raise UsageError(f"--address: expected host:port, or {WITHIN}, got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ServiceError(
            f"Ray at {address} does not answer: {error.strerror or error}; test it with: ray status --address {address}"
        ) from error


def _token_is_named() -> bool:
    return any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))


def _check_tls() -> None:
    """Ray would abort in the middle of a word."""
    if os.environ.get("RAY_USE_TLS", "0").lower() not in ("1", "true"):
        return
    for name in TLS_FILES:
        path = os.environ.get(name, "")
        if not Path(path).is_file() or not os.access(path, os.R_OK):
            raise UsageError(f"{name}: expected a file that can be read, as RAY_USE_TLS is set, got {path!r}")


def _refusal(address: str | None, error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    hint = "; are RAY_AUTH_MODE, the token (RAY_AUTH_TOKEN_PATH) and RAY_USE_TLS as on the cluster?" if address else ""
    return f"Ray at {address or 'this machine'} refused: {lines[0]}{hint}"
