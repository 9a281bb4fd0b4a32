"""Pythae's own trainer as a contender, in a process and an environment of its own (its pins clash with ours)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from torch import Tensor

from benchmarks.cases import HYPERPARAMETERS, Case, Round

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".bench-venv"
REQUIREMENTS = ROOT / "benchmarks" / "requirements-pythae.txt"
METHODS = {"adam": "Adam", "momentum": "SGD", "rmsprop": "RMSprop"}
"""Our names and PyTorch's, which Pythae takes."""


def install() -> str | None:
    """Makes Pythae's environment where it is missing; why not, if it could not."""
    ready = ENVIRONMENT / "ready"
    if ready.exists() and ready.read_text() == REQUIREMENTS.read_text():
        return None
    print("Installing Pythae into .bench-venv (a few minutes the first time) ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode != 0:
        return f"pip could not install it: {done.stderr.strip().splitlines()[-1]}"
    ready.write_text(REQUIREMENTS.read_text())
    return None


class Pythae:
    """The contender. Its process waits, idle, while the others have their turns."""

    def __init__(self, case: Case, method: str, images: Tensor):
        self._case = case
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        np.save(folder / "images.npy", images.numpy())
        config = {
            "folder": str(folder),
            "hidden": case.hidden,
            "latent_dim": case.latent_dim,
            "batch_size": case.batch_size,
            "optimizer": METHODS[method],
            **HYPERPARAMETERS[method],
        }
        self._errors = folder / "errors.txt"
        worker = ROOT / "benchmarks" / "pythae_worker.py"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [str(ENVIRONMENT / "bin" / "python"), str(worker), json.dumps(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=folder,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def turn(self) -> Round:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self._case.epochs}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"Pythae's process ended:\n{self._errors.read_text()[-2000:]}")
        return Round(trial_steps=self._case.steps, **json.loads(answer))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()
