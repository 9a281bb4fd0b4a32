"""A study under Kubernetes: a RayJob, whose Ray cluster is made for it and goes with it."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from vaestudy.errors import ConflictError, ServiceError, UsageError
from vaestudy.execution import VAESTUDY, job_id
from vaestudy.spec import Study
from vaestudy.study.parcel import pack
from vaestudy.study.submit import facts, launching

PARCEL = "parcel.zip"
WHERE = "/study"
"""Where each pod has the parcel."""

NAMESPACE = "vaestudy"
CLAIM = "vaestudy-results"
"""The claim on storage that all pods share; its volume is mounted at the folder of results."""

SECRET = "vaestudy-credentials"  # noqa: S105  # its name
"""Of it, where there is one, the driver's environment has VAESTUDY_CREDENTIAL_..."""

STORE_SECRET = "vaestudy-store"  # noqa: S105  # its name
"""Of it all pods have AWS_ACCESS_KEY_ID and what else an object store needs, where results are in one."""

NAME = "[a-z0-9]([-a-z0-9]{0,45}[a-z0-9])?"
"""Of a RayJob."""

USER = 10001
MOST_BYTES = 1_000_000
"""Of a ConfigMap."""

HEADER = """\
# Runs study {name} in a Ray cluster of its own, or goes on with it. Made by: vaestudy submit --on kuberay
# Needs KubeRay 1.6 or newer, and in namespace {namespace} the {needs}.
"""


def render(folder: Path, study: Study, results: str, image: str, hosts: int) -> str:
    """Fills an empty folder for ``kubectl create -k``.

    Args:
        results: where pods have the folder of all studies, or the address of one in an object store.
        image: of every container; docker/Dockerfile makes it.
        hosts: pods that train.

    Returns:
        The name of the RayJob.

    Raises:
        UsageError: the study's name is none for Kubernetes, or the plug-ins are too large to travel.
    """
    name = job_id(study.name, 1)
    if not re.fullmatch(NAME, name):
        raise UsageError(
            f"name: {study.name!r} has what Kubernetes takes in no name, or more than 36 characters; give it another "
            "one, of a-z, 0-9 and -, e.g. name=" + re.sub("[^a-z0-9-]+", "-", study.name)[:36].strip("-")
        )
    parcel = folder / "parcel"
    pack(parcel, study.plugins, study)
    shutil.make_archive(str(parcel), "zip", folder, parcel.name)
    shutil.rmtree(parcel)
    size = (folder / PARCEL).stat().st_size
    if size > MOST_BYTES:
        raise UsageError(
            f"plugins: what travels has {size:,} bytes, and a ConfigMap takes {MOST_BYTES:,}; install the plug-ins in "
            "the image"
        )
    keys = f"secret {STORE_SECRET} with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL"
    needs = keys if "://" in results else f"claim {CLAIM}, as docker/kubernetes has it"
    header = HEADER.format(name=study.name, namespace=NAMESPACE, needs=needs)
    _write(folder / "rayjob.yaml", _job(name, study, results, image, hosts), header)
    _write(folder / "kustomization.yaml", _kustomization(name))
    return name


def create(folder: Path, name: str) -> None:
    """Hands a rendered folder to Kubernetes.

    Raises:
        UsageError: kubectl is not installed. ConflictError: the study has a RayJob there. ServiceError: it refuses.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise UsageError("--on kuberay needs kubectl; write the manifests with --render DIR and apply them where it is")
    done = subprocess.run([kubectl, "create", "-k", str(folder)], check=False, capture_output=True, text=True)
    if "AlreadyExists" in done.stderr:
        raise ConflictError(
            f"there is a RayJob {name} already; where it has ended, make room for another that goes on: "
            f"kubectl -n {NAMESPACE} delete rayjob,configmap {name}"
        )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise ServiceError(f"kubectl create: {said[-1]}")


def _kustomization(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": ["rayjob.yaml"],
        "configMapGenerator": [{"name": name, "files": [PARCEL]}],
        "generatorOptions": {"disableNameSuffixHash": True},
    }


def _job(name: str, study: Study, results: str, image: str, hosts: int) -> dict[str, Any]:
    gpus = int(study.resources.gpus > 0 or study.resources.device == "cuda")
    workers = {"cpu": "4", "memory": "8Gi"} | ({"nvidia.com/gpu": gpus} if gpus else {})
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "vaestudy"}},
        "spec": {
            "jobId": name,
            "submissionMode": "HTTPMode",
            "entrypoint": shlex.join([*VAESTUDY, *launching(results)]),
            "runtimeEnvYAML": f"working_dir: file://{WHERE}/{PARCEL}\n",
            "metadata": facts(study, results),
            "backoffLimit": 3,  # a cluster that is lost is made again, and the study goes on
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 300,
            "rayClusterSpec": {
                "rayVersion": version("ray"),
                "authOptions": {"mode": "token"},
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0"},  # trains nothing
                    "template": {"spec": _pod(name, image, results, "ray-head", {"cpu": "2", "memory": "6Gi"})},
                },
                "workerGroupSpecs": [
                    {
                        "groupName": "workers",
                        "replicas": hosts,
                        "minReplicas": hosts,
                        "maxReplicas": hosts,
                        "rayStartParams": {},
                        "template": {"spec": _pod(name, image, results, "ray-worker", workers)},
                    }
                ],
            },
        },
    }


def _pod(name: str, image: str, results: str, container: str, limits: dict[str, Any]) -> dict[str, Any]:
    stored = "://" in results
    volumes = {
        **({} if stored else {"results": (results, {"persistentVolumeClaim": {"claimName": CLAIM}})}),
        "study": (WHERE, {"configMap": {"name": name}}),
        "shm": ("/dev/shm", {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}),  # noqa: S108  # Ray's store
        "scratch": ("/tmp", {"emptyDir": {"sizeLimit": "10Gi"}}),  # noqa: S108
    }
    credentials = [{"secretRef": {"name": SECRET, "optional": True}}] if container == "ray-head" else []
    if stored:
        credentials.append({"secretRef": {"name": STORE_SECRET, "optional": False}})
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": container,
                "image": image,
                **({"envFrom": credentials} if credentials else {}),
                "resources": {"requests": dict(limits), "limits": dict(limits)},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": each, "mountPath": place} for each, (place, _) in volumes.items()],
            }
        ],
        "volumes": [{"name": each, **source} for each, (_, source) in volumes.items()],
    }


def _write(path: Path, document: dict[str, Any], header: str = "") -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    yaml.dump(document, text)
    path.write_text(header + text.getvalue(), encoding="utf-8")
