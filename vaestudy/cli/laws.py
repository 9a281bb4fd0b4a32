"""Plug-ins under the laws of components."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vaestudy.errors import Problem, SpecError
from vaestudy.interrupts import loading

if TYPE_CHECKING:
    from vaestudy.testing import Component


@contextmanager
def plugins_held() -> Iterator[dict[Component, int]]:
    """Tries the laws on every component that is registered inside the block, when it ends; fills in how many held.

    Raises:
        SpecError: laws are broken; the first of each component is listed.
    """
    with loading():
        from vaestudy.testing import BrokenLawError, held, registered

    known = frozenset(registered())
    found: dict[Component, int] = {}
    yield found
    problems = []
    for component in registered(known):
        try:
            found[component] = held(component)
        except BrokenLawError as broken:
            problems.append(Problem("plugins", str(broken)))
    if problems:
        raise SpecError(problems)
