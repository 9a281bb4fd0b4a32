"""A study under SLURM: a batch script, and what travels with it, in a folder that all nodes share."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import jinja2

from vaestudy.errors import ServiceError, UsageError
from vaestudy.spec import Study
from vaestudy.study.parcel import pack

SCRIPT = "study.sbatch"
OUTPUT = "output.log"


def render(folder: Path, study: Study, results: str, nodes: int) -> Path:
    """Fills an empty folder for ``sbatch``, and returns the script's path.

    Args:
        folder: on storage that all nodes share, as is ``results``, the folder of all studies.
    """
    pack(folder, study.plugins, study)
    environment = jinja2.Environment(  # noqa: S701  # makes no HTML
        loader=jinja2.PackageLoader("vaestudy.study"), keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["quote"] = shlex.quote
    text = environment.get_template(SCRIPT).render(
        name=study.name, nodes=nodes, folder=str(folder), results=results, bin=str(Path(sys.executable).parent)
    )
    script = folder / SCRIPT
    script.write_text(text, encoding="utf-8")
    return script


def check() -> str:
    """The path of ``sbatch``.

    Raises:
        UsageError: SLURM is not installed here.
    """
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        raise UsageError("--on slurm needs sbatch; write the script with --render DIR and submit it where SLURM is")
    return sbatch


def batch(script: Path) -> str:
    """Hands a script to SLURM, and returns the job's number.

    Raises:
        UsageError: SLURM is not installed here. ServiceError: it refuses.
    """
    done = subprocess.run([check(), "--parsable", str(script)], check=False, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise ServiceError(f"sbatch: {said[-1]}")
    return done.stdout.strip().partition(";")[0]
