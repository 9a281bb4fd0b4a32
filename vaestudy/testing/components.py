"""Which components are registered, and whether they keep the laws of their kind."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NamedTuple

from vaestudy.distributions import likelihoods
from vaestudy.models import models
from vaestudy.optimizers import optimizers
from vaestudy.schedules import schedules
from vaestudy.testing.laws import Law
from vaestudy.testing.likelihoods import likelihood_laws
from vaestudy.testing.models import model_laws
from vaestudy.testing.optimizers import optimizer_laws
from vaestudy.testing.schedules import schedule_laws

LAWS: Mapping[str, tuple[Law, ...]] = {
    "optimizer": optimizer_laws,
    "schedule": schedule_laws,
    "model": model_laws,
    "likelihood": likelihood_laws,
}
"""The laws of each kind of component."""


class Component(NamedTuple):
    """A registered component that has laws."""

    kind: str
    name: str


def registered(known: Container[Component] = ()) -> list[Component]:
    """Every component that has laws, by kind and name, but for those that were ``known`` already."""
    registries = (optimizers, schedules, models, likelihoods)
    found = [Component(registry.kind, entry.name) for registry in registries for entry in registry]
    return [component for component in found if component not in known]


def held(component: Component) -> int:
    """Tries every law of a component's kind on it; how many there are.

    Raises:
        BrokenLawError: one does not hold.
    """
    for law in LAWS[component.kind]:
        law(component.name)
    return len(LAWS[component.kind])
