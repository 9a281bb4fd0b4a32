"""SQLite is refused where its locks do not hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaestudy.errors import UsageError
from vaestudy.study.disks import check_sqlite_disk


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "fuse.sshfs"])
def test_a_network_disk_is_refused_by_its_kind(kind: str) -> None:
    with pytest.raises(UsageError, match=rf"network disk \({kind}\).*storage.optuna a PostgreSQL"):
        check_sqlite_disk(Path("/home/ann/results/study"), {"/": "ext4", "/home": kind})


def test_the_innermost_disk_counts() -> None:
    check_sqlite_disk(Path("/home/ann/scratch/study"), {"/": "nfs4", "/home": "nfs4", "/home/ann/scratch": "xfs"})


def test_the_disks_of_this_machine_are_asked(tmp_path: Path) -> None:
    check_sqlite_disk(tmp_path / "not" / "yet" / "there")
