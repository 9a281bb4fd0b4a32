"""The search for settings: the only part that knows Optuna."""

from vaestudy.search.cell import Ask, CellSearch, Told
from vaestudy.search.storage import RetryingStorage, open_storage

__all__ = ["Ask", "CellSearch", "RetryingStorage", "Told", "open_storage"]
