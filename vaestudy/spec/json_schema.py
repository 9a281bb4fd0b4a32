"""The study file's JSON Schema, by which editors complete and check it; registered names are its enums."""

from __future__ import annotations

from typing import Any

from vaestudy.data import data_sets
from vaestudy.distributions import likelihoods
from vaestudy.hyperparameters import Hyperparameter
from vaestudy.models import models
from vaestudy.optimizers import optimizers
from vaestudy.registry import Entry, Registry
from vaestudy.schedules import schedules
from vaestudy.spec.models import Study

JsonObject = dict[str, Any]
JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def json_schema() -> JsonObject:
    """The schema (draft 2020-12) of a study file with the components registered at this moment."""
    made = Study.model_json_schema(by_alias=True)
    parts = made["$defs"]
    parts.pop("Component")
    workload = parts["Workload"]["properties"]
    workload["model"] = _component(models)
    workload["likelihood"] = _component(likelihoods)
    parts["Data"]["properties"]["name"] |= _names(data_sets)
    parts["Method"]["properties"]["optimizer"] |= _names(optimizers)
    parts["Train"]["properties"]["schedule"] |= _names(schedules)
    parts["Beta"]["properties"]["schedule"] |= _names(schedules)
    parts["Range"]["oneOf"] = [{"required": [kind]} for kind in ("log", "uniform", "int", "choice")]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "vaestudy study file"}


def _names(registry: Registry[Any]) -> JsonObject:
    return {"enum": [entry.name for entry in registry]}


def _component(registry: Registry[Any]) -> JsonObject:
    """Either a bare name or a mapping of the name and its hyperparameters."""
    return {"anyOf": [_names(registry), *(_mapping(entry) for entry in registry)]}


def _mapping(entry: Entry[Any]) -> JsonObject:
    properties = {name: _hyperparameter(each) for name, each in entry.hyperparameters.items()}
    return {
        "type": "object",
        "description": entry.summary,
        "properties": {"name": {"const": entry.name}, **properties},
        "required": ["name", *(name for name, each in entry.hyperparameters.items() if each.required)],
        "additionalProperties": False,
    }


def _hyperparameter(entry: Hyperparameter) -> JsonObject:
    one: JsonObject = {"type": JSON_TYPES[entry.kind], "description": entry.domain.says}
    if entry.domain.choices:
        one["enum"] = list(entry.domain.choices)
    return {"type": "array", "items": one, "minItems": 1} if entry.many else one
