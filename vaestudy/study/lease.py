"""Who drives a study whose results are in an object store: a lease there, renewed every few seconds.

A store that is asked through pyarrow offers no "write unless somebody has", so two drivers that begin in the same
second could both believe that they have it. Each writes, waits and reads back, and looks again whenever it renews: the
one whose words are not there any more gives way within seconds. Ages are told by the store's clock alone.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Mapping
from typing import Any

from vaestudy.errors import ConflictError
from vaestudy.store import Store

KEY = "lease.json"
FREE_SECONDS = 60.0
"""A lease that was not renewed for so long is nobody's."""

SETTLE_SECONDS = 1.0
SURE_SECONDS = FREE_SECONDS / 2
"""For so long after it was renewed nobody else can have it, whatever the clocks and the network do."""


class Lease:
    """A driver's hold on a study in a store.

    Args:
        store: the study's folder.
        writer: the identity of this machine's working copy, whose lock the driver has: a lease in its name is that of
            a process which has died.
    """

    def __init__(self, store: Store, writer: str):
        self._store = store
        self._token = secrets.token_hex(8)
        self._facts = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time(), "writer": writer}
        self._renewed = 0.0

    def take(self) -> None:
        """Takes the lease.

        Raises:
            ConflictError: another driver has it.
        """
        found = read(self._store)
        if found and not _is_of(found, self._facts) and self._age() < FREE_SECONDS:
            raise taken(self._store, found)
        self._write()
        time.sleep(SETTLE_SECONDS)
        found = read(self._store)
        if found is None or found.get("token") != self._token:
            raise taken(self._store, found or {})

    def renew(self) -> None:
        """Renews it.

        Raises:
            ConflictError: another driver has it, or has had it.
        """
        found = read(self._store)
        if found is None:
            raise ConflictError(
                f"study {_name(self._store)!r}: its lease is gone from {self._store.address}: another driver has had "
                "it, or the folder was removed; this driver gives way"
            )
        if found.get("token") != self._token:
            raise ConflictError(
                f"study {_name(self._store)!r} has gone to another driver: {described(found)}; this one had not been "
                "heard of in the object store for too long, and gives way"
            )
        self._write()

    @property
    def sure(self) -> bool:
        """Whether nobody else can have it."""
        return time.monotonic() - self._renewed < SURE_SECONDS

    def release(self) -> None:
        """Gives it back."""
        found = read(self._store)
        if found is not None and found.get("token") == self._token:
            self._store.remove([KEY])

    def _write(self) -> None:
        began = time.monotonic()
        self._store.write(KEY, json.dumps({**self._facts, "token": self._token}).encode())
        self._renewed = began

    def _age(self) -> float:
        """Seconds since the lease was renewed, by the store's clock: a claim is written now."""
        claim = f"claims/{self._token}"
        self._store.write(claim, b"")
        try:
            return age(self._store, self._store.modified(claim) or 0.0)
        finally:
            self._store.remove([claim])


def read(store: Store) -> Mapping[str, Any] | None:
    """Whose the lease is, fresh or not; None where nobody has one."""
    content = store.read(KEY)
    try:
        return None if content is None else dict(json.loads(content))
    except (ValueError, TypeError):
        return {}


def age(store: Store, now: float) -> float:
    """Seconds since a lease was renewed; for ever where there is none."""
    renewed = store.modified(KEY)
    return float("inf") if renewed is None else now - renewed


def elsewhere(store: Store, writer: str) -> Mapping[str, Any] | None:
    """Who drives the study from another working copy, as far as this machine's clock can tell; None where nobody
    does."""
    found = read(store)
    mine = {"host": socket.gethostname(), "writer": writer}
    if found is None or _is_of(found, mine) or age(store, time.time()) >= FREE_SECONDS:
        return None
    return found


def taken(store: Store, found: Mapping[str, Any]) -> ConflictError:
    """The error of whoever comes second."""
    return ConflictError(
        f"study {_name(store)!r} is running already: {described(found)}; a driver that was killed "
        f"on another host is given up after {FREE_SECONDS:.0f} s"
    )


def described(found: Mapping[str, Any]) -> str:
    """A driver in words."""
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found["since"]))
        return f"host {found['host']}, pid {found['pid']}, since {since}"
    except (KeyError, TypeError):
        return "by a driver that is just starting"


def _name(store: Store) -> str:
    return store.address.rpartition("/")[2]


def _is_of(found: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    return (found.get("host"), found.get("writer")) == (facts["host"], facts["writer"])
