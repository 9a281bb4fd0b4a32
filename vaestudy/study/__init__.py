"""A study from launch to tables: the one layer that knows search, execution, tracking and analysis."""

from vaestudy.study.folder import StudyFolder, find, known
from vaestudy.study.launch import launch, stop
from vaestudy.study.plan import Plan, plan
from vaestudy.study.status import Arm, Status, status

__all__ = ["Arm", "Plan", "Status", "StudyFolder", "find", "known", "launch", "plan", "status", "stop"]
