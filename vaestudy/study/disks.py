"""Where SQLite may write: its locks do not hold on disks that several machines share over a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psutil

from vaestudy.errors import UsageError

NETWORK = frozenset({"nfs", "nfs3", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs", "fuse.glusterfs"})
"""Kinds of file systems on which SQLite's own documentation warns of locking (sqlite.org/faq.html, question 5)."""


def check_sqlite_disk(folder: Path, disks: Mapping[str, str] | None = None) -> None:
    """Makes sure that a folder, which need not exist yet, lies on a disk of this machine.

    Args:
        folder: where SQLite files shall lie.
        disks: the kind of file system by mount point; those of this machine where None.

    Raises:
        UsageError: it lies on a network's.
    """
    disks = _mounted() if disks is None else disks
    path = folder.resolve()
    kind = next((disks[str(parent)] for parent in (path, *path.parents) if str(parent) in disks), "")
    if kind in NETWORK:
        raise UsageError(
            f"{folder} lies on a network disk ({kind}), where SQLite's locks do not hold; let --results or "
            "storage.results name a disk of this machine, or storage.optuna a PostgreSQL and tracking.mlflow a server"
        )


def _mounted() -> dict[str, str]:
    return {disk.mountpoint: disk.fstype for disk in psutil.disk_partitions(all=True)}
