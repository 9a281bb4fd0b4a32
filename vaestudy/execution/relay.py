"""How checkpoints and pictures travel where hosts share no folder: a worker sends them to the object store, and
fetches what another host has left there.

    <store>/<study>/runs/<uid>/attempt-<k>/checkpoint-<step>/{state.pt, manifest.json}

A manifest is sent last: a checkpoint without one is not there. A worker's own files lie apart from a driver's working
copy, which may be on the same host.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vaestudy import checkpoint
from vaestudy.errors import ServiceError
from vaestudy.records import ATTEMPT
from vaestudy.store import Store, copies, copy_name, together

STATE, MANIFEST = "state.pt", "manifest.json"
OWN = ".workers"
PATIENCE = 300.0
"""Seconds that a run waits at its begin and at its end where the store does not answer."""

log = logging.getLogger(__name__)


def worker_folder(store: str, study: str) -> Path:
    """Where workers on this host keep the files of a study whose results are in a store."""
    return copies() / copy_name(store) / OWN / study


class Relay:
    """What a worker sends and fetches; nothing where ``store`` is empty and hosts share the folder.

    Args:
        folder: the study's, as this worker sees it.
        store: the address of the store that holds all studies.
    """

    def __init__(self, folder: Path, store: str):
        self._folder = folder
        self._store = Store(store).below(folder.name) if store else None
        self._unsent: set[Path] = set()

    def send_checkpoints(self, saved: Sequence[Path]) -> None:
        """Sends checkpoints that have just been saved here. One that cannot be sent is passed over: training does not
        wait, and a later one follows."""
        if self._store is None:
            return
        store = replace(self._store, patience=0)
        runs = {path.parent.parent for path in saved}
        self._unsent |= runs
        try:
            together(lambda path: self._send_checkpoint(store, path), saved)
            self._unsent -= runs
        except ServiceError as error:
            log.warning("checkpoints are kept here alone: %s", error)

    def fetch_checkpoints(self, run: Path) -> None:
        """Fetches the newest checkpoints of a run that the store has and this host has not.

        Raises:
            ServiceError: the store does not answer.
        """
        if self._store is None:
            return
        store = replace(self._store, patience=PATIENCE)
        found = [key.removesuffix(f"/{MANIFEST}") for key in store.entries(self._key(run)) if key.endswith(MANIFEST)]
        for key in sorted(found, key=_newest)[-checkpoint.KEPT :]:
            target = self._folder / key
            temporary = target.with_name(f".{target.name}.tmp")
            if target.exists():
                continue
            shutil.rmtree(temporary, ignore_errors=True)
            if all(store.fetch(f"{key}/{name}", temporary / name) for name in (STATE, MANIFEST)):
                temporary.rename(target)

    def send_pictures(self, path: Path) -> None:
        """Sends the pictures that a run has left here.

        Raises:
            ServiceError: the store does not answer.
        """
        if self._store is not None:
            replace(self._store, patience=PATIENCE).send(path, self._key(path))

    def leave(self, attempt: Path) -> None:
        """A run has ended here, or goes on elsewhere: what the store has is not needed here any more."""
        run = attempt.parent
        if self._store is None or run in self._unsent:
            return
        for path in run.glob(f"{ATTEMPT}*"):
            if _number(path.name) <= _number(attempt.name):
                shutil.rmtree(path, ignore_errors=True)

    def _send_checkpoint(self, store: Store, path: Path) -> None:
        key = self._key(path)
        for name in (STATE, MANIFEST):
            store.send(path / name, f"{key}/{name}")
        kept = {each.name for each in path.parent.iterdir()}
        there = {key.rpartition("/")[0] for key in store.entries(self._key(path.parent)) if "/checkpoint-" in key}
        for old in there:
            if old.rpartition("/")[2] not in kept:
                store.remove_folder(old)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _newest(key: str) -> tuple[int, str]:
    """Orders checkpoints by attempt, then by step."""
    attempt, step = key.split("/")[-2:]
    return _number(attempt), step


def _number(attempt: str) -> int:
    number = attempt.removeprefix(ATTEMPT)
    return int(number) if number.isdigit() else 0
