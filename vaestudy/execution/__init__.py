"""Execution: Ray Tune as a disposable executor. The only package that imports ray."""

from vaestudy.execution.cluster import Cluster, check, connect, disconnect
from vaestudy.execution.jobs import Common, Job, RunQueue
from vaestudy.execution.jobserver import VAESTUDY, ClusterJob, JobServer, job_id
from vaestudy.execution.meters import METRICS, Meters
from vaestudy.execution.shared import check_shared
from vaestudy.execution.tuner import execute
from vaestudy.execution.worker import make_task

__all__ = [
    "METRICS",
    "VAESTUDY",
    "Cluster",
    "ClusterJob",
    "Common",
    "Job",
    "JobServer",
    "Meters",
    "RunQueue",
    "check",
    "check_shared",
    "connect",
    "disconnect",
    "execute",
    "job_id",
    "make_task",
]
