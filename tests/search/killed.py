"""A process that works on the toy study and kills itself, as ``kill -9`` does, at a named point."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tests.search.toy import cell, run
from vaestudy.search import RetryingStorage, open_storage

POINTS: dict[str, tuple[str, str, str]] = {
    "inside ask, without settings": ("create_new_trial", "after", ""),
    "inside ask, settings half drawn": ("set_trial_param", "after", "lr"),
    "inside ask, before ready": ("set_trial_user_attr", "before", "ready"),
    "after ask": ("set_trial_user_attr", "after", "ready"),
    "after report": ("set_trial_intermediate_value", "after", ""),
    "inside tell": ("set_trial_user_attr", "after", "outcome"),
    "before the end is committed": ("set_trial_state_values", "before", ""),
    "after tell": ("set_trial_state_values", "after", ""),
}
"""By name: the storage call, whether to die before or after it, and its second argument where that matters."""


class Killer:
    """A storage that kills its process at the third call of ``point``."""

    def __init__(self, storage: RetryingStorage, point: str):
        self._storage = storage
        self._method, self._moment, self._argument = POINTS[point]
        self._calls_left = 3

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._storage, name)
        return self._watched(member) if name == self._method else member

    def _watched(self, member: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._calls_left -= self._argument in ("", *args[1:2])
            if self._calls_left == 0 and self._moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = member(*args, **kwargs)
            if self._calls_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call


def work(where: str, folder: Path, point: str, environment: dict[str, str]) -> None:
    """Runs the toy study; does not return."""
    os.environ.update(environment)  # the server that starts these processes has that of its own start
    killer = Killer(open_storage(where, folder), point)
    run(cell(cast(RetryingStorage, killer), sampler="tpe", pruner="asha"))
