"""Optuna kept from talking to the user."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import ExperimentalWarning


@contextmanager
def quiet(*ignored: type[Warning]) -> Iterator[None]:
    """Optuna without its notes (experimental features, missing speed-ups, trials told twice) during one call.

    Args:
        ignored: further kinds of warnings to leave out.
    """
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            for category in ignored:
                warnings.simplefilter("ignore", category)
            yield
    finally:
        optuna.logging.set_verbosity(level)
