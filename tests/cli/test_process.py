"""The process of the command line, interrupted where there is no command: while its modules load, and after it."""

from __future__ import annotations

import subprocess
import sys

from tests.launched import ROOT

INTERRUPT = "import os, signal, sys; interrupt = lambda: os.kill(os.getpid(), signal.SIGINT); "


def ran(code: str) -> subprocess.CompletedProcess[str]:
    process = [sys.executable, "-c", INTERRUPT + code + "; from vaestudy.__main__ import run; run()", "--version"]
    return subprocess.run(process, capture_output=True, text=True, cwd=ROOT)


def test_ctrl_c_while_modules_load_ends_at_once_without_a_word() -> None:
    find = "lambda name, *_: interrupt() if name == 'vaestudy.cli' else None"
    code = f"sys.meta_path.insert(0, type('Finder', (), {{'find_spec': {find}}}))"
    done = ran(code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    done = ran(f"signal.signal(signal.SIGINT, signal.SIG_IGN); {code}")  # as in a shell's background
    assert (done.returncode, done.stdout[:9], done.stderr) == (0, "vaestudy ", "")


def test_ctrl_c_while_python_ends_changes_nothing() -> None:
    done = ran("import atexit; atexit.register(interrupt)")
    assert (done.returncode, done.stdout[:9], done.stderr) == (0, "vaestudy ", "")
