"""A mutant under test: a process of its own imports the mutated module and runs the module's fast tests.

The processes are forked from a server that has imported torch and the like, but nothing of vaestudy, so that a trial
costs its tests and not its imports. Nothing is written into the working tree.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import CodeType
from typing import Any, Literal

import pytest

ROOT = Path(__file__).parents[2]
PRELOADED = [
    "torch._dynamo",
    "scipy.stats",
    "pandas",
    "pyarrow",
    "sqlalchemy",
    "pydantic",
    "ruamel.yaml",
    "pooch",
    "hypothesis.strategies",
    "pytest",
]
PLUGINS = ["-p", "pytest_timeout", "-p", "_hypothesis_pytestplugin", "-p", "no:cacheprovider"]
OPTIONS = ["-x", "-q", "--assert=plain", "--hypothesis-profile=ci", "--no-header", "-m", "not slow", *PLUGINS]

Verdict = Literal["killed", "survived", "timed out"]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOADED)


def verdict(module: str, tree: ast.Module, tests: Sequence[str], limit: float) -> Verdict:
    """How the tests take a mutated module; a mutant that runs for ever counts as noticed."""
    code = _run(module, ast.unparse(tree), tests, limit)
    return "timed out" if code is None else "survived" if code == pytest.ExitCode.OK else "killed"


def seconds_unmutated(tests: Sequence[str]) -> float:
    """How long a module's tests take, imports left out.

    Raises:
        RuntimeError: they fail without a mutant, or there are none.
    """
    start = time.monotonic()
    code = _run("", "", tests, 600.0)
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"{' '.join(tests)}: pytest ends with {code} without a mutant")
    return time.monotonic() - start


def _run(module: str, source: str, tests: Sequence[str], limit: float) -> int | None:
    process = _context.Process(target=_in_child, args=(module, source, list(tests)))
    process.start()
    process.join(limit)
    if process.exitcode is None:
        process.kill()
        process.join()
        return None
    return process.exitcode


def _in_child(module: str, source: str, tests: list[str]) -> None:
    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.dont_write_bytecode = True
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    if module:
        sys.meta_path.insert(0, _Mutated(module, source))
    sys.exit(int(pytest.main([*OPTIONS, *tests])))


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds one module, and loads it from other source than its file's."""

    def __init__(self, module: str, source: str):
        self._module, self._source = module, source

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != self._module:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path)
        assert found is not None
        return importlib.util.spec_from_file_location(name, found.origin, loader=self)

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, f"{fullname} (mutated)", "exec")

    def get_source(self, fullname: str) -> str:
        return self._source
