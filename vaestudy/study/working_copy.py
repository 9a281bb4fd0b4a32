"""Results in an object store, as commands meet them: a working copy on this machine, brought up to date before it is
read, and sent while a driver changes it. Where results lie in a plain folder nothing here does anything.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vaestudy.errors import ConflictError, DiskError, ServiceError, VaestudyError
from vaestudy.outputs import FILE
from vaestudy.records import ATTEMPT, check_links, write_atomically
from vaestudy.store import Store, together
from vaestudy.study.lease import Lease, elsewhere
from vaestudy.study.locks import held, holding
from vaestudy.study.mirror import CHECKPOINT, STATE, Mirror, State

BEAT_SECONDS = 5.0
PUSH_SECONDS = 5.0
TRY_SECONDS = 10.0
"""For so long a beat or a push is tried; then comes the next."""

PATIENCE = 300.0
"""Seconds that the end of a run waits for its pictures where the store does not answer."""

LAST_SECONDS = 30.0
"""For so long what is left at a study's end is tried to be sent."""

STOP = "stop"
DRIVER = "driver.json"
"""In a working copy: who drives the study elsewhere; missing where nobody does."""

Notice = Callable[[str], None]

log = logging.getLogger(__name__)


def refresh(folder: Path, store: str) -> None:
    """Brings the working copy of a study up to date, unless a driver of this machine is at it.

    Args:
        folder: the study's.
        store: the address of the store that holds all studies; empty where results are a plain folder.

    Raises:
        ServiceError: the store does not answer, refuses us, or has no such bucket.
    """
    if not store or held(folder / "lock"):
        return
    there = Store(store)
    there.check()
    there = there.below(folder.name)
    if not folder.exists() and not there.entries():
        return
    _make(folder)
    check_links(folder)
    with holding(folder / ".refresh"):
        if not held(folder / "lock"):
            mirror = Mirror(folder, there)
            mirror.refresh()
            driver = elsewhere(there, mirror.writer)
            if driver is None:
                (folder / DRIVER).unlink(missing_ok=True)
            else:
                write_atomically(folder / DRIVER, json.dumps(driver))


def written_elsewhere(folder: Path) -> bool:
    """Whether this is a working copy to which another one's driver has written last."""
    state = State.load(folder / STATE)
    return state.seen[0] not in ("", state.writer)


def ask_to_stop(folder: Path, store: str) -> None:
    """Asks the driver of a study to save and stop, wherever it is."""
    if store and not held(folder / "lock"):
        Store(store).below(folder.name).write(STOP, b"")
    else:
        (folder / STOP).touch()


class WorkingCopy:
    """A study's folder while a driver has it."""

    def __init__(self, sender: Sender | None):
        self._sender = sender

    @classmethod
    @contextmanager
    def driving(cls, folder: Path, store: str, notice: Notice = lambda text: None) -> Iterator[WorkingCopy]:
        """A study's folder for a driver, which has locked it; at the end everything is sent.

        Args:
            folder, store: as of ``refresh``.
            notice: told in a line what the user should know.

        Raises:
            ConflictError: a driver on another host has the study, or has come to have it.
            ServiceError: the store does not answer; or not at the end, and lacks what is here.
        """
        if not store:
            yield cls(None)
            return
        sender = Sender(folder, store, notice)
        sender.begin()
        try:
            yield cls(sender)
        except BaseException:
            sender.finish_after_an_error()
            raise
        sender.finish()

    def bring_pictures(self, uid: str, attempt: int) -> None:
        """Fetches what a run's worker has left in its attempt's folder.

        Raises:
            ServiceError: the store does not answer.
        """
        if self._sender:
            self._sender.bring(f"runs/{uid}/{ATTEMPT}{attempt}/{FILE}")

    def discard(self, uid: str) -> None:
        """Removes the checkpoints of a run that has ended from the store, once the store has its end."""
        if self._sender:
            self._sender.ended.append(uid)


PLAIN = WorkingCopy(None)
"""Of results in a plain folder."""


class Sender:
    """Sends a working copy from threads of its own while it lasts, and holds the lease."""

    def __init__(self, folder: Path, store: str, notice: Notice):
        self.ended: list[str] = []
        self._folder = folder
        self._results = store
        self._notice = notice
        self._store = Store(store, TRY_SECONDS).below(folder.name)
        self._mirror = Mirror(folder, self._store)
        self._lease = Lease(self._store, self._mirror.writer)
        self._lost: ConflictError | None = None
        self._warned = False
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._often, args=task, daemon=True)
            for task in ((BEAT_SECONDS, self._beat), (PUSH_SECONDS, self._push))
        ]

    def bring(self, key: str) -> None:
        """Fetches a file that a worker has sent."""
        self._mirror.fetch(key, PATIENCE)

    def begin(self) -> None:
        """Takes the lease, fetches what the store is right about, and begins to send."""
        self._mirror.save()  # its identity, by which the next driver here knows the lease of one that was killed
        self._lease.take()
        (self._folder / DRIVER).unlink(missing_ok=True)
        with holding(self._folder / ".refresh"):
            dropped = self._mirror.refresh()
        if dropped:
            self._notice(
                f"Another driver has gone on with the study since; {len(dropped)} files of records that only this host "
                "had are dropped, and what they held is measured again"
            )
        self._store.remove([STOP])
        self._mirror.begin()
        for thread in self._threads:
            thread.start()

    def _often(self, seconds: float, action: Callable[[], None]) -> None:
        while not self._over.wait(seconds) and self._lost is None:
            try:
                action()
            except (VaestudyError, OSError, sqlite3.Error) as error:
                log.warning("not now: %s", error)
                if not self._warned:
                    self._warned = True
                    self._notice(f"{error}; the study goes on, and what the store lacks is sent when it answers")

    def _beat(self) -> None:
        try:
            self._lease.renew()
        except ConflictError as error:
            self._lost = error
            (self._folder / STOP).touch()
            return
        if self._store.read(STOP) is not None:
            (self._folder / STOP).touch()
            self._store.remove([STOP])

    def _push(self) -> None:
        if self._lease.sure:
            self._send()

    def _send(self) -> None:
        ended = list(self.ended)
        self._mirror.push()
        together(self._forget, ended)
        del self.ended[: len(ended)]

    def _forget(self, uid: str) -> None:
        keys = self._store.entries(f"runs/{uid}")
        for checkpoint in {key.rpartition("/")[0] for key in keys if f"/{CHECKPOINT}" in key}:
            self._store.remove_folder(checkpoint)

    def finish(self) -> None:
        """Sends what is left, and gives the lease back."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._lost is not None:
            raise self._lost
        self._mirror.store = replace(self._store, patience=LAST_SECONDS)
        try:
            self._lease.renew()
            self._send()
            self._lease.release()
        except ServiceError as error:
            raise ServiceError(
                f"{error}; nothing is lost: what the store lacks lies in {self._folder} on this host, and is sent "
                f"with: vaestudy resume {self._folder.name} --results {self._results}"
            ) from error

    def finish_after_an_error(self) -> None:
        """Sends what there is; the error counts, unless the study has been lost to another driver."""
        try:
            self.finish()
        except ServiceError as error:
            self._notice(str(error))


def _make(folder: Path) -> None:
    try:
        for path in (folder.parent, folder):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DiskError(f"cannot make {folder}: {error.strerror}; let XDG_CACHE_HOME name another place") from error
