"""The image is built for real, without an engine, on a Debian made from its packages; a study is checked in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import program
from tests.launched import ROOT

pytestmark = [pytest.mark.image, pytest.mark.timeout(3000)]

PACKAGES = "python3,python3-venv,ca-certificates"
MOST_BYTES = 3_000_000_000
"""Of the CPU image; 2.3 GB as measured."""


def say(*command: str | Path) -> str:
    """What a command says; it must succeed. It says so into files: buildah's chroot loses what goes into a pipe."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        done = subprocess.run([*map(str, command)], check=False, stdout=out, stderr=err, cwd=ROOT)
        out.seek(0)
        err.seek(0)
        said, faults = out.read(), err.read()
    assert done.returncode == 0, (said + faults)[-3000:]
    return said.strip()


def pip_from_here(folder: Path) -> list[str]:
    """Options of buildah that let pip in a build find what pip finds here: its settings, and the folders they name."""
    said = say(sys.executable, "-m", "pip", "config", "list")
    settings = dict(re.findall(r"^(?:global|:env:)\.(\S+)='(.*)'$", said, re.MULTILINE))
    file = folder / "pip.conf"
    file.write_text("\n".join(["[global]", *(f"{name} = {value}" for name, value in settings.items())]) + "\n")
    named = {Path(word.removeprefix("file://")) for value in settings.values() for word in value.split() if "/" in word}
    places = {(path if path.is_file() or path.name != "simple" else path.parent) for path in named if path.exists()}
    return [f"--volume={file}:/etc/pip.conf:ro", *(f"--volume={place}:{place}:ro" for place in sorted(places))]


class Buildah:
    """buildah, with what it makes in a folder of its own, so that nothing is left on the machine."""

    def __init__(self, folder: Path):
        store = [f"--root={folder / 'images'}", f"--runroot={folder / 'running'}"]
        self._command = [program("buildah"), *store]

    def __call__(self, *arguments: str | Path) -> str:
        return say(*self._command, *arguments)

    def run(self, container: str, *command: str, mount: Path | None = None, user: str = "") -> str:
        """What a command says in a container, as the image's user where no other is named."""
        volumes = [f"--volume={mount}:/mine:ro"] if mount else []
        users = [f"--user={user}"] if user else []
        return self("run", "--isolation=chroot", *volumes, *users, container, "--", *command)


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    folder = Path(tempfile.mkdtemp(prefix="vaestudy-image-"))
    made = Buildah(folder)
    try:
        yield made
    finally:
        made("rm", "--all")
        made("rmi", "--all", "--force")
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def container(buildah: Buildah, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A container of the image, which was built just now."""
    folder = tmp_path_factory.mktemp("image")
    debian = folder / "debian"
    try:
        say(program("debootstrap"), "--variant=minbase", f"--include={PACKAGES}", "bookworm", debian)
        base = buildah("from", "scratch")
        buildah("add", base, debian, "/")
    finally:
        shutil.rmtree(debian, ignore_errors=True)
    buildah("commit", "--rm", base, "localhost/vaestudy-test-base")
    options = ["--isolation=chroot", "--network=host", "--format=docker", *pip_from_here(folder)]
    arguments = ["--build-arg=BASE=localhost/vaestudy-test-base", "--file=docker/Dockerfile"]
    buildah("bud", *options, *arguments, "--tag=localhost/vaestudy-test", ".")
    return buildah("from", "localhost/vaestudy-test")


def test_the_image_says_who_runs_in_it_and_how_it_is_looked_after(buildah: Buildah, container: str) -> None:
    said = json.loads(buildah("inspect", container))["Docker"]["config"]
    assert said["User"] == "10001:10001"
    assert said["Healthcheck"]["Test"] == ["CMD", "vaestudy", "--version"]
    assert said["Entrypoint"] == ["vaestudy"]
    assert not any("PIP_" in variable for variable in said["Env"])
    assert buildah.run(container, *said["Healthcheck"]["Test"][1:]).startswith("vaestudy ")


def test_the_image_checks_a_study_as_its_own_user(buildah: Buildah, container: str) -> None:
    assert buildah.run(container, "id", "-u") == "10001"
    said = buildah.run(container, "vaestudy", "check", "/mine/quickstart.yaml", mount=ROOT / "studies")
    assert said.startswith("quickstart: sound; hash ")


def test_the_image_has_what_is_pinned_and_nothing_that_it_need_not(buildah: Buildah, container: str) -> None:
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    listed = buildah.run(container, "python", "-m", "pip", "list", "--format=freeze").splitlines()
    installed = {
        re.sub(r"\+cpu$", "", line) for line in listed if not line.startswith(("pip==", "setuptools==", "vaestudy=="))
    }
    assert installed <= set(pins), installed - set(pins)
    kept = "'(' -name .env -o -name pip.conf -o -path '*/.cache/pip' ')' -size +0"
    assert buildah.run(container, "sh", "-c", f"find / -xdev {kept}", user="root") == ""
    assert buildah.run(container, "sh", "-c", "find / -xdev -path '*/site-packages/tests'", user="root") == ""
    size = int(buildah.run(container, "sh", "-c", "du --summarize --bytes --one-file-system / | cut -f 1", user="root"))
    print(f"{size / 1e9:.2f} GB")
    assert size < MOST_BYTES, f"{size / 1e9:.1f} GB"


@pytest.mark.parametrize("called", ["mlflow-server", "driver", "ray", "wget", "bash", "tar"])
def test_the_image_has_every_program_that_is_called_in_it(buildah: Buildah, container: str, called: str) -> None:
    buildah.run(container, "sh", "-c", f"command -v {called}")


def test_the_image_trains(buildah: Buildah, container: str) -> None:
    command = "cd /tmp && vaestudy launch /mine/quickstart.yaml search.trials=1 train.epochs=3 confirm.seeds=0"
    settings = "confirm.sources=0 target.seeds=1 tracking.mlflow=none"
    said = buildah.run(container, "bash", "-c", f"{command} {settings} --results /tmp/results", mount=ROOT / "studies")
    assert "sgd" in said
