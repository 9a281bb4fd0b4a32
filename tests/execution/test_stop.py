"""A study that is stopped while its workers start: Ray's own wait for them, and its words, are nobody's business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launched import ROOT

STOPPED_AT_ONCE = """
import json, sys, time
from pathlib import Path
from ray.train._internal import storage
from tests.execution.endless import Endless, common_of
from vaestudy.execution.cluster import connect, disconnect
from vaestudy.execution.tuner import execute
from vaestudy.spec.models import Resources

copy = storage._pyarrow_fs_copy_files

def fail_once(*arguments, **options):
    storage._pyarrow_fs_copy_files = copy
    raise FileNotFoundError("Tune has just written this file anew")

storage._pyarrow_fs_copy_files = fail_once
cluster = connect(Resources(device="cpu", workers=2), None)
queue = Endless(wanted=1)
start = time.monotonic()
queue._until = start + 0.5
execute(queue, common_of(Path(sys.argv[1]), "cpu"), cluster, population=1)
print(json.dumps([len(queue.reported), time.monotonic() - start]))
disconnect()
"""


@pytest.mark.slow
def test_workers_that_are_starting_are_not_waited_for_and_tunes_own_files_are_not_talked_about(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STOPPED_AT_ONCE, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reported, took = json.loads(done.stdout.splitlines()[-1])
    assert reported == 0
    assert took < 8, "Tune waits 10 s"
    assert "Traceback" not in done.stdout + done.stderr
