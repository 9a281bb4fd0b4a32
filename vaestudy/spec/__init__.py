"""The study file: loaded, checked, frozen, hashed.

Loading one (``loader``) and its schema (``json_schema``) need torch, whose optimizers say what they may be given. What
is here does without: whoever reads a study that was checked need not wait for torch.
"""

from vaestudy.spec.identity import differences, dump_study, study_hash
from vaestudy.spec.models import Range, Study, Train, Workload
from vaestudy.spec.settings import (
    Cell,
    SearchId,
    Settings,
    applies,
    budgets,
    canonical,
    cells,
    first_rung,
    reference_methods,
    resolve,
    searches,
    space,
)

__all__ = [
    "Cell",
    "Range",
    "SearchId",
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
    "reference_methods",
    "resolve",
    "searches",
    "space",
    "study_hash",
]
