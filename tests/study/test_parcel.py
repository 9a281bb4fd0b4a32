"""What travels to a cluster runs there as it does here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launched import ROOT
from vaestudy.errors import UsageError
from vaestudy.spec import study_hash
from vaestudy.spec.loader import load_study
from vaestudy.study.parcel import pack

QUICKSTART = ROOT / "studies" / "quickstart.yaml"


def test_the_study_its_plugins_and_this_vaestudy_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    (mine / "package_of_mine" / "__pycache__").mkdir(parents=True)
    (mine / "package_of_mine" / "__init__.py").write_text("")
    (mine / "package_of_mine" / "parts.py").write_text("import module_of_mine\n")
    (mine / "package_of_mine" / "__pycache__" / "parts.pyc").write_bytes(b"\0")
    (mine / "module_of_mine.py").write_text("")
    monkeypatch.syspath_prepend(mine)
    plugins = ["package_of_mine.parts", "module_of_mine"]
    study = load_study(QUICKSTART, [f"plugins={plugins}"])

    parcel = tmp_path / "parcel"
    parcel.mkdir()
    pack(parcel, study.plugins, study)
    for path in sorted(mine.rglob("*.py")):
        path.unlink()  # what is found from now on has travelled
    assert not list(parcel.rglob("__pycache__"))
    code = "import sys, vaestudy; from vaestudy.cli.main import main; print(vaestudy.__file__); sys.exit(main())"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run(
        [sys.executable, "-c", code, "--json", "check", "study.yaml"],
        cwd=parcel,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert said.startswith(str(parcel))
    assert study_hash(study) in said


def test_a_plugin_that_is_not_here_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no module 'nowhere' here"):
        pack(tmp_path, ["nowhere.parts"])


def test_a_plugin_that_is_no_python_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'math' is no Python file .*; install it on the cluster's hosts"):
        pack(tmp_path, ["math"])
