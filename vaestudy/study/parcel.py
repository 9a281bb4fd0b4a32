"""What travels to a cluster: the study, resolved; the plug-ins it names; and this very vaestudy."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path

import vaestudy
from vaestudy.errors import UsageError
from vaestudy.spec import Study, dump_study

STUDY_FILE = "study.yaml"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def pack(folder: Path, plugins: Sequence[str], study: Study | None = None) -> None:
    """Fills an empty folder from which ``python -m vaestudy`` runs anywhere that has what vaestudy depends on.

    Args:
        plugins: modules; of each the whole package at its top travels.
        study: written as ``study.yaml``, where there is one to begin.

    Raises:
        UsageError: a plug-in is not here, or is no file that could travel.
    """
    shutil.copytree(Path(vaestudy.__file__).parent, folder / "vaestudy", ignore=LEFT_OUT)
    for top in sorted({module.partition(".")[0] for module in plugins} - {"vaestudy"}):
        _add(folder, top)
    if study is not None:
        (folder / STUDY_FILE).write_text(dump_study(study), encoding="utf-8")


def _add(folder: Path, module: str) -> None:
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise UsageError(f"plugins: there is no module {module!r} here that could travel to the cluster")
    places = list(spec.submodule_search_locations or ())
    if places:
        for place in places:
            shutil.copytree(place, folder / module, ignore=LEFT_OUT, dirs_exist_ok=True)
    elif spec.origin and spec.origin.endswith(".py"):
        shutil.copy(spec.origin, folder)
    else:
        raise UsageError(f"plugins: {module!r} is no Python file ({spec.origin}); install it on the cluster's hosts")
