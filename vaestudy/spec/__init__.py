"""The study file: loaded, checked, frozen, hashed."""

from vaestudy.spec.models import Range, Study, Train, Workload
from vaestudy.spec.settings import Cell, Settings, applies, canonical, cells, first_rung, resolve, space

__all__ = [
    "Cell", "Range", "Settings", "Study", "Train", "Workload", "applies", "canonical", "cells", "first_rung",
    "resolve", "space",
]
