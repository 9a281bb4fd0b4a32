"""Looks a study over, names whatever is wrong with it, and repairs what can be repaired (``vaestudy doctor``).

Each module knows one place: ``facts`` (the study's own files), ``runs`` (the records), ``trials`` (Optuna), ``window``
(MLflow), ``remains`` (checkpoints and what killed processes left), ``tables`` (the report).
"""

from vaestudy.study.doctor.finding import Finding, Severity
from vaestudy.study.doctor.visit import Visit, examine, repair

__all__ = ["Finding", "Severity", "Visit", "examine", "repair"]
