"""What a study's numbers depend on beside its file: code, packages, data and hardware (protocol, rule 12)."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from vaestudy.data import data_sets
from vaestudy.spec import Study

PACKAGES = ("vaestudy", "torch", "ray", "optuna", "mlflow", "numpy", "scipy", "scikit-learn")
SOURCE = Path(__file__).parents[1]
"""The package's folder."""


def environment(study: Study) -> dict[str, Any]:
    """The digest of the code, the versions of what computes, the data sets' checksums and this machine.

    Nothing in it names a user, a host or a path.
    """
    return {
        "code": _code(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "data": {workload.data.name: _data(workload.data.name) for workload in study.workloads.values()},
        "hardware": _hardware(),
    }


def _code() -> str:
    """16 hexadecimal digits of every source file's path and bytes."""
    digest = hashlib.sha256()
    for path in sorted(SOURCE.rglob("*.py")):
        digest.update(path.relative_to(SOURCE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _data(name: str) -> dict[str, str]:
    files = data_sets.find(name).component.files
    return {file.path: file.sha256 for file in files} or {"bundled": f"scikit-learn {metadata.version('scikit-learn')}"}


def _hardware() -> dict[str, Any]:
    """The driver's machine; a cluster's workers may be others."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
