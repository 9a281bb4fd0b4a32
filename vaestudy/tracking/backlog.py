"""How far MLflow is behind: the rows that spools hold and that it does not have yet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vaestudy.errors import DataError
from vaestudy.records import attempt_folder, last_attempt, read_run
from vaestudy.tracking.rows import curve_rows, summary_rows

SHIPPED = "shipped.json"
"""Beside ``runs/``: where the shipper says what it has sent."""


@dataclass(frozen=True)
class Sent:
    """What MLflow has of a run: up to which update, the attempt whose end it has, and whether it was deleted there."""

    step: int = -1
    settled: int = 0
    deleted: bool = False


class Backlog:
    """Counts for a study's driver, also while no shipper lives. Reads only spools that have grown and runs that MLflow
    does not have in full."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._changed = 0
        self._sent: dict[str, Sent] = {}
        self._open: set[str] = set()
        self._counted: dict[str, tuple[tuple[int, int, int], int]] = {}

    def rows(self, ended: Iterable[str], live: Iterable[str]) -> int:
        """The rows that MLflow does not have of these runs, by their uids."""
        self._look()
        self._open |= {uid for uid in ended if not self._sent.get(uid, Sent()).settled} | set(live)
        return sum(map(self._rows, sorted(self._open)))

    def _look(self) -> None:
        path = self._folder / SHIPPED
        changed = path.stat().st_mtime_ns if path.exists() else 0
        if changed != self._changed:
            runs = json.loads(path.read_text())["runs"]
            self._sent = {uid: Sent(run["step"], run["settled"], run["deleted"]) for uid, run in runs.items()}
            self._changed = changed

    def _rows(self, uid: str) -> int:
        sent = self._sent.get(uid, Sent())
        attempt = last_attempt(self._folder, uid)
        if sent.deleted or sent.settled == attempt:
            self._open.discard(uid)
            self._counted.pop(uid, None)
            return 0
        spool = attempt_folder(self._folder, uid, attempt) / "spool.jsonl"
        state = (attempt, spool.stat().st_size, sent.step)
        known = self._counted.get(uid)
        if known is None or known[0] != state:
            known = self._counted[uid] = (state, self._count(uid, sent.step))
        return known[1]

    def _count(self, uid: str, after: int) -> int:
        try:
            record = read_run(self._folder, uid)
        except DataError:  # it is not to be sent: the shipper says why
            return 0
        return len(curve_rows(record, after)) + (len(summary_rows(record)) if record.end else 0)
