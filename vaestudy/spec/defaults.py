"""Published defaults, written out."""

from __future__ import annotations

from typing import Any

from vaestudy.distributions import likelihoods
from vaestudy.models import models
from vaestudy.optimizers import optimizers
from vaestudy.registry import Registry
from vaestudy.spec.models import Component, Method, Study
from vaestudy.spec.settings import canonical


def written_out(study: Study) -> Study:
    """The study with the published defaults of its models, likelihoods and optimizers in their places."""
    workloads = {
        name: workload.model_copy(
            update={
                "model": _complete(models, workload.model),
                "likelihood": _complete(likelihoods, workload.likelihood),
            }
        )
        for name, workload in study.workloads.items()
    }
    methods = {
        name: method.model_copy(update={"fixed": {**method.fixed, **_defaults(study, method)}})
        for name, method in study.methods.items()
    }
    return study.model_copy(update={"workloads": workloads, "methods": methods})


def _complete(registry: Registry[Any], component: Component) -> Component:
    schema = registry.find(component.name).hyperparameters
    defaults = {key: entry.default for key, entry in schema.items() if entry.default is not None}
    return Component.model_validate({"name": component.name, **defaults, **component.arguments})


def _defaults(study: Study, method: Method) -> dict[str, Any]:
    """The optimizer's published defaults of what the method neither fixes nor searches."""
    given = {canonical(key) for key in (*method.fixed, *method.search, *study.shared_search)}
    schema = optimizers.find(method.optimizer).hyperparameters
    return {key: entry.default for key, entry in schema.items() if key not in given and entry.default is not None}
