"""Whether all hosts of a cluster see one folder as the same."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vaestudy.errors import ServiceError, UsageError

SECONDS = 60.0


def check_shared(folder: Path) -> None:
    """Writes on every host that may train, and reads it here; reads there what was written here.

    Raises:
        UsageError: a host does not share ``folder`` with this one. ServiceError: a host gives no answer.
    """
    mark = folder / f".shared-{secrets.token_hex(8)}"
    mark.write_text(socket.gethostname())
    hosts = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if _may_train(node)}
    try:
        for node, host in hosts.items():
            _check_host(mark, node, host)
    finally:
        for path in folder.glob(f"{mark.name}*"):
            path.unlink()


def _check_host(mark: Path, node: str, host: str) -> None:
    there = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))(
        _answer
    )
    answer = mark.with_name(f"{mark.name}-{node}")
    try:
        reason = ray.get(there.remote(str(mark), str(answer)), timeout=SECONDS)
    except RayError as error:
        raise ServiceError(f"host {host} of the cluster does not answer: {str(error).splitlines()[0]}") from error
    if not reason and not answer.exists():
        reason = "what it writes there does not arrive here"
    if reason:
        raise UsageError(
            f"{mark.parent} is not the same folder on host {host} of the cluster ({reason}); let --results name a "
            "folder on storage that all hosts share"
        )


def _may_train(node: dict[str, object]) -> bool:
    resources = node["Resources"]
    return bool(node["Alive"]) and isinstance(resources, dict) and resources.get("CPU", 0) > 0


def _answer(mark: str, answer: str) -> str:
    """Runs on the host that is asked; why it could not, if it could not."""
    try:
        Path(answer).write_text(Path(mark).read_text())
    except OSError as error:
        return error.strerror or str(error)
    return ""
