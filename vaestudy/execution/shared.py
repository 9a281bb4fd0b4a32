"""Whether all hosts of a cluster see one folder as the same, or reach one object store."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vaestudy.errors import ServiceError, UsageError, VaestudyError
from vaestudy.store import Store, endpoint

SECONDS = 60.0


def check_shared(folder: Path, store: str = "") -> None:
    """Writes on every host that may train, and reads it here; reads there what was written here.

    Args:
        folder: the study's. store: the address of the object store that holds it in the place of a shared folder.

    Raises:
        UsageError: a host does not share ``folder`` with this one. ServiceError: a host gives no answer, or does not
            reach the store.
    """
    hosts = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if _may_train(node)}
    mark = f".shared-{secrets.token_hex(8)}"
    if store:
        _check_store(Store(store).below(folder.name), hosts, f"claims/{mark}")
    else:
        _check_folder(folder, hosts, mark)


def _check_folder(folder: Path, hosts: dict[str, str], mark: str) -> None:
    (folder / mark).write_text(socket.gethostname())
    try:
        for node, host in hosts.items():
            answer = folder / f"{mark}-{node}"
            reason = _ask(_copied, node, host, str(folder / mark), str(answer))
            if not reason and not answer.exists():
                reason = "what it writes there does not arrive here"
            if reason:
                raise UsageError(
                    f"{folder} is not the same folder on host {host} of the cluster ({reason}); let --results name a "
                    "folder on storage that all hosts share"
                )
    finally:
        for path in folder.glob(f"{mark}*"):
            path.unlink()


def _check_store(store: Store, hosts: dict[str, str], mark: str) -> None:
    said = secrets.token_hex(8).encode()
    store.write(mark, said)
    try:
        for node, host in hosts.items():
            answer = f"{mark}-{node}"
            reason = _ask(_sent, node, host, store.address, mark, answer, endpoint())
            if not reason and store.read(answer) != said:
                reason = f"what it writes to {store.address} does not arrive here: is its AWS_ENDPOINT_URL another one?"
            if reason:
                raise ServiceError(
                    f"host {host} of the cluster has no part in the object store: {reason}; give it AWS_ACCESS_KEY_ID, "
                    "AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL in the environment of its `ray start`"
                )
    finally:
        store.remove([mark, *(f"{mark}-{node}" for node in hosts)])


def _ask(answer: object, node: str, host: str, *arguments: str) -> str:
    """What a function says on a host."""
    affinity = NodeAffinitySchedulingStrategy(node, soft=False)
    there = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=affinity)(answer)
    try:
        return str(ray.get(there.remote(*arguments), timeout=SECONDS))
    except RayError as error:
        raise ServiceError(f"host {host} of the cluster does not answer: {str(error).splitlines()[0]}") from error


def _may_train(node: dict[str, object]) -> bool:
    resources = node["Resources"]
    return bool(node["Alive"]) and isinstance(resources, dict) and resources.get("CPU", 0) > 0


def _copied(mark: str, answer: str) -> str:
    """Runs on the host that is asked; why it could not, if it could not."""
    try:
        Path(answer).write_text(Path(mark).read_text())
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _sent(address: str, mark: str, answer: str, server: str) -> str:
    """The same, in an object store; where the driver names a server, this host has to, or it would ask Amazon's."""
    if server and not endpoint():
        return "AWS_ENDPOINT_URL is not set there"
    store = Store(address)
    try:
        content = store.read(mark)
        if content is None:
            return "it does not find there what was written here"
        store.write(answer, content)
    except VaestudyError as error:
        return str(error)
    return ""
