"""A study's folder on this machine as the working copy of one in an object store: what is sent, what is fetched, and
which of the two is right.

In the store the folder looks as it does here (folder.py), with ``mirror.json`` beside it, which says who wrote last:
``{"writer": ..., "host": ..., "sequence": ..., "time": ...}``. A driver writes it before it sends anything, and after
all that it has sent. A copy is behind where another one has written since it looked; then the store is right about
every record. Otherwise the copy is: it holds what the store has, and perhaps more.

What is sent at once is consistent. The trial database is copied after the lengths of the spools were noted, and is sent
before them: the store never holds records of a trial that its database does not know. It may know of an end whose
record is not there yet; such a run is run again, with the same numbers.

Checkpoints are not its business: workers send and fetch them (execution/relay.py).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vaestudy.records import write_atomically
from vaestudy.store import PATIENCE, Entry, Store, together

COMMIT = "mirror.json"
STATE = ".mirror.json"
DATABASE = "optuna.db"

JOURNALS = tuple(f"{DATABASE}-{kind}" for kind in ("journal", "wal", "shm"))
OF_THIS_MACHINE = {STATE, "lock", "shipper.lock", "stop", "driver.json", *JOURNALS}
OF_THE_STORE = {COMMIT, "lease.json", "stop"}
CHECKPOINT = "checkpoint-"

NOBODY = {"writer": "", "sequence": 0}
"""The last commit of a folder that was copied into the store by other means."""

CLOCK_SECONDS = 2.0
"""An object may be written twice within a second, and look the same: so young a one is fetched again next time."""

Here = tuple[int, int]
"""A file's bytes, and when it was changed, in nanoseconds."""

MISSING: Here = (-1, 0)


@dataclass
class State:
    """What a working copy knows of the store.

    Attributes:
        writer: this copy's identity.
        sequence: of the last commit it wrote. seen: writer and sequence of the last commit it wrote or fetched.
        sent: files that the store has as they are here. fetched: objects that are here as they are in the store.
    """

    writer: str = field(default_factory=lambda: secrets.token_hex(8))
    sequence: int = 0
    seen: tuple[str, int] = ("", 0)
    sent: dict[str, Here] = field(default_factory=dict)
    fetched: dict[str, tuple[int, float]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> State:
        """A copy's state; that of a new copy where it is missing or damaged."""
        try:
            told = json.loads(path.read_bytes())
            sent = {key: (int(size), int(changed)) for key, (size, changed) in told["sent"].items()}
            fetched = {key: (int(size), float(changed)) for key, (size, changed) in told["fetched"].items()}
            return cls(told["writer"], told["sequence"], (told["seen"][0], told["seen"][1]), sent, fetched)
        except (OSError, ValueError, KeyError, TypeError):
            return cls()


class Mirror:
    """A study's working copy and its place in the store."""

    def __init__(self, folder: Path, store: Store):
        self.folder = folder
        self.store = store
        self.state = State.load(folder / STATE)
        self._session: set[str] | None = None

    @property
    def writer(self) -> str:
        return self.state.writer

    def commit(self) -> Mapping[str, Any] | None:
        """Who wrote last; None where nobody has."""
        content = self.store.read(COMMIT)
        try:
            return None if content is None else dict(json.loads(content))
        except (ValueError, TypeError):
            return {"writer": "", "host": "?", "sequence": 0}

    def refresh(self) -> list[str]:
        """Fetches what this copy lacks, or all that is otherwise where another copy has written since.

        Returns:
            Records that were here alone and are dropped: what another driver has made since counts.
        """
        commit = self.commit()
        if commit is None:
            self.state.sent, self.state.fetched = {}, {}
            if self.state.sequence:  # somebody has emptied the place: all that is here is sent again
                return []
        elif not self._is_behind(commit):
            kept = self.state.sent.keys() | self.state.fetched.keys()
            self._fetch([key for key in kept if not (self.folder / key).exists()])
            return []
        entries = {key: entry for key, entry in self.store.entries().items() if _mirrored(key)}
        return self._take(entries, commit or NOBODY) if commit or entries else []

    def begin(self) -> None:
        """From now on this copy writes: every other one is behind."""
        self._session = set(self._files())
        self._say()

    def push(self) -> bool:
        """Sends what has changed since the last time; whether anything had.

        Raises:
            ServiceError: the store does not answer; the next push sends what this one did not.
        """
        files = self._files()
        gone = (self._session or set()) - files.keys()
        changed = {key: now for key, now in files.items() if key != DATABASE and self.state.sent.get(key) != now}
        database = _now(self.folder / DATABASE)  # looked at last: a trial may have begun while spools were looked at
        asked = database not in (MISSING, self.state.sent.get(DATABASE))
        if not (changed or gone or asked):
            return False
        if asked:
            self._send_database(database)
        together(lambda item: self._send(*item), changed.items())
        self.store.remove(sorted(gone))
        self.state.sent = {key: value for key, value in self.state.sent.items() if key in files}
        self._session = set(files)
        self._say()
        return True

    def fetch(self, key: str, patience: float = PATIENCE) -> bool:
        """Fetches one file; whether the store has it."""
        found = replace(self.store, patience=patience).fetch(key, self.folder / key)
        if found:
            self.state.sent[key] = _now(self.folder / key)
        return found

    def save(self) -> None:
        """Writes down what this copy knows, and who it is."""
        write_atomically(self.folder / STATE, json.dumps(vars(self.state)))

    def _is_behind(self, commit: Mapping[str, Any]) -> bool:
        writer, sequence = str(commit["writer"]), int(commit["sequence"])
        if writer == self.state.writer:
            return sequence > self.state.sequence  # this copy was put back from an older one
        return (writer, sequence) != self.state.seen

    def _take(self, entries: Mapping[str, Entry], commit: Mapping[str, Any]) -> list[str]:
        """Makes this copy what the store is; the records that were here alone and are gone."""
        dropped = self._drop(entries)
        due = [key for key, entry in entries.items() if self._differs(key, entry)]
        self._fetch(due)
        settled = max((entry.modified for entry in entries.values()), default=0.0) - CLOCK_SECONDS
        self.state.fetched = {
            key: (entry.size, entry.modified) for key, entry in entries.items() if entry.modified < settled
        }
        self.state.seen = (str(commit["writer"]), int(commit["sequence"]))
        self.save()
        return dropped

    def _differs(self, key: str, entry: Entry) -> bool:
        known = self.state.fetched.get(key) == (entry.size, entry.modified)
        return not known or self.state.sent.get(key) != _now(self.folder / key)

    def _drop(self, entries: Mapping[str, Entry]) -> list[str]:
        """Removes records that the store does not have; an attempt of which nothing is left goes with them."""
        dropped = [key for key in self._files() if key.startswith("runs/") and key not in entries]
        for key in dropped:
            (self.folder / key).unlink()
            for parent in list((self.folder / key).relative_to(self.folder / "runs").parents)[:-1]:
                with suppress(OSError):  # something else lies in it
                    (self.folder / "runs" / parent).rmdir()
        return dropped

    def _fetch(self, keys: list[str]) -> None:
        if DATABASE in keys:
            for journal in JOURNALS:  # of the one that is replaced
                (self.folder / journal).unlink(missing_ok=True)
        together(self.fetch, keys)

    def _send(self, key: str, now: Here) -> None:
        with suppress(FileNotFoundError):  # it has just been removed
            self.store.send(self.folder / key, key, now[0])
            self.state.sent[key] = now

    def _send_database(self, now: Here) -> None:
        copy = self.folder / f".{DATABASE}.{os.getpid()}.tmp"
        try:
            of, to = (sqlite3.connect(path, timeout=20) for path in (self.folder / DATABASE, copy))
            with closing(of) as database, closing(to) as target:
                database.backup(target)
            self.store.send(copy, DATABASE)
        finally:
            copy.unlink(missing_ok=True)
        self.state.sent[DATABASE] = now

    def _say(self) -> None:
        """Commits: this copy's state first, so that it never believes that it is behind its own words."""
        self.state.sequence += 1
        self.state.seen = (self.writer, self.state.sequence)
        self.save()
        said = {"writer": self.writer, "host": socket.gethostname(), "sequence": self.state.sequence}
        self.store.write(COMMIT, json.dumps({**said, "time": time.time()}).encode())

    def _files(self) -> dict[str, Here]:
        """Every file here that belongs into the store."""
        paths = {path.relative_to(self.folder).as_posix(): path for path in _walk(self.folder)}
        found = {key: _now(path) for key, path in paths.items() if _mirrored(key)}
        return {key: now for key, now in found.items() if now != MISSING}


def _mirrored(key: str) -> bool:
    """Whether a file or an object is one that both sides have."""
    parts = key.split("/")
    private = key in OF_THIS_MACHINE | OF_THE_STORE or parts[0] == "claims"
    return not private and not any(part.startswith((".", CHECKPOINT)) for part in parts)


def _walk(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith((".", CHECKPOINT)):
                    yield from _walk(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _now(path: Path) -> Here:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return MISSING
    return stat.st_size, stat.st_mtime_ns
