"""The search for settings: the only part that knows Optuna."""

from vaestudy.search.cell import Ask, CellSearch, Told
from vaestudy.search.dashboard import serve_dashboard
from vaestudy.search.entries import Entry, entries, settle
from vaestudy.search.importance import Evaluator, Importance, importance
from vaestudy.search.storage import RetryingStorage, open_storage

__all__ = [
    "Ask",
    "CellSearch",
    "Entry",
    "Evaluator",
    "Importance",
    "RetryingStorage",
    "Told",
    "entries",
    "importance",
    "open_storage",
    "serve_dashboard",
    "settle",
]
