"""MLflow, the shop window: written from the spools by a process of its own, never in the path of training."""

from vaestudy.tracking.address import check_environment, preflight, run_url, study_url, tracking_uri, ui_command
from vaestudy.tracking.backlog import Backlog
from vaestudy.tracking.shipper import Shipper, SupersededError

__all__ = [
    "Backlog",
    "Shipper",
    "SupersededError",
    "check_environment",
    "preflight",
    "run_url",
    "study_url",
    "tracking_uri",
    "ui_command",
]
