"""The study file: loaded, checked, frozen, hashed."""

from vaestudy.spec.identity import differences, dump_study, study_hash
from vaestudy.spec.json_schema import json_schema
from vaestudy.spec.loader import load_study
from vaestudy.spec.models import Range, Study, Train, Workload
from vaestudy.spec.settings import (
    Cell,
    Settings,
    applies,
    budgets,
    canonical,
    cells,
    first_rung,
    reference_methods,
    resolve,
    space,
)

__all__ = [
    "Cell",
    "Range",
    "Settings",
    "Study",
    "Train",
    "Workload",
    "applies",
    "budgets",
    "canonical",
    "cells",
    "differences",
    "dump_study",
    "first_rung",
    "json_schema",
    "load_study",
    "reference_methods",
    "resolve",
    "space",
    "study_hash",
]
