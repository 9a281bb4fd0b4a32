"""Data sets: registered, checksummed, split and binarised."""

from vaestudy.data import sets as sets  # registers
from vaestudy.data.base import DataSet, data_folder, data_sets, fetch, named_folder
from vaestudy.data.splits import Examples, load, load_test

__all__ = ["DataSet", "Examples", "data_folder", "data_sets", "fetch", "load", "load_test", "named_folder"]
