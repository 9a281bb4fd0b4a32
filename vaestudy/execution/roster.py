"""The roster of a group: which runs belong to it now. The driver writes it, the group's worker reads it, and says
there why it ends where it must.

It lies in Ray's own key-value store: no process of its own, and what the driver wrote before it let the worker go on
is there when the worker looks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_put

from vaestudy.execution.jobs import Job
from vaestudy.execution.losses import Loss


class Roster:
    """The runs of one group, named by the study and Tune's trial."""

    def __init__(self, study_hash: str, group: str):
        self._key = f"vaestudy/{study_hash}/{group}"

    def write(self, jobs: Iterable[Job]) -> None:
        """Replaces the roster."""
        _internal_kv_put(self._key, json.dumps([job.dump() for job in jobs]), overwrite=True)

    def read(self) -> list[Job] | None:
        """The roster, or None where none was ever written."""
        text = _internal_kv_get(self._key)
        return None if text is None else [Job.load(job) for job in json.loads(text)]

    def lose(self, loss: Loss) -> None:
        """The worker says why it is about to end."""
        _internal_kv_put(f"{self._key}/loss", json.dumps(loss.dump()), overwrite=True)

    def take_loss(self) -> Loss | None:
        """Why the worker ended, told once; None where it said nothing."""
        key = f"{self._key}/loss"
        text = _internal_kv_get(key)
        _internal_kv_del(key)
        return None if text is None else Loss(**json.loads(text))

    @staticmethod
    def forget(study_hash: str) -> None:
        """Removes the rosters of all groups of a study."""
        _internal_kv_del(f"vaestudy/{study_hash}/", del_by_prefix=True)
