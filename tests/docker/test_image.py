"""The image is built for real, without an engine, on a Debian made from its packages; a study is checked in it."""

from __future__ import annotations

import re
import subprocess
import sys
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
    """What a command says; it must succeed."""
    done = subprocess.run([*map(str, command)], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout.strip()


def pip_from_here(folder: Path) -> list[str]:
    """Options of buildah that let pip in a build find what pip finds here: its settings, and the folders they name."""
    said = say(sys.executable, "-m", "pip", "config", "list")
    settings = dict(re.findall(r"^(?:global|:env:)\.(\S+)='(.*)'$", said, re.MULTILINE))
    file = folder / "pip.conf"
    file.write_text("\n".join(["[global]", *(f"{name} = {value}" for name, value in settings.items())]) + "\n")
    named = {Path(word.removeprefix("file://")) for value in settings.values() for word in value.split() if "/" in word}
    places = {(path if path.is_file() or path.name != "simple" else path.parent) for path in named if path.exists()}
    return [f"--volume={file}:/etc/pip.conf:ro", *(f"--volume={place}:{place}:ro" for place in sorted(places))]


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A container of the image, which was built just now."""
    buildah, debootstrap = program("buildah"), program("debootstrap")
    folder = tmp_path_factory.mktemp("image")
    say(debootstrap, "--variant=minbase", f"--include={PACKAGES}", "bookworm", folder / "debian")
    base = say(buildah, "from", "scratch")
    say(buildah, "add", base, folder / "debian", "/")
    say(buildah, "commit", base, "localhost/vaestudy-test-base")
    options = ["--isolation=chroot", "--network=host", "--format=docker", *pip_from_here(folder)]
    arguments = ["--build-arg=BASE=localhost/vaestudy-test-base", "--file=docker/Dockerfile"]
    say(buildah, "bud", *options, *arguments, "--tag=localhost/vaestudy-test", ".")
    made = say(buildah, "from", "localhost/vaestudy-test")
    yield made
    for name in (made, base):
        say(buildah, "rm", name)
    say(buildah, "rmi", "localhost/vaestudy-test", "localhost/vaestudy-test-base")


def inside(container: str, *command: str, mount: Path | None = None) -> str:
    volumes = [f"--volume={mount}:/mine:ro"] if mount else []
    return say(program("buildah"), "run", "--isolation=chroot", *volumes, container, "--", *command)


def test_the_image_checks_a_study_as_its_own_user_and_holds_nothing_that_it_need_not(container: str) -> None:
    assert inside(container, "id", "-u") == "10001"
    said = inside(container, "vaestudy", "check", "/mine/quickstart.yaml", mount=ROOT / "studies")
    assert said.startswith("quickstart: sound; hash ")
    pins = (ROOT / "constraints.txt").read_text()
    for name in ("ray", "mlflow"):
        assert f"{name}=={inside(container, name, '--version').split()[-1]}\n" in pins
    kept = "'(' -name .env -o -name pip.conf -o -path '*/.cache/pip' ')' -size +0"
    assert inside(container, "sh", "-c", f"find / -xdev {kept}") == ""
    assert "tests" not in inside(container, "ls", "/opt/vaestudy/lib/python3.11/site-packages/vaestudy").split()
    size = int(inside(container, "sh", "-c", "du --summarize --bytes --one-file-system / 2>/dev/null | cut -f 1"))
    assert size < MOST_BYTES, f"{size / 1e9:.1f} GB"


def test_the_image_trains(container: str) -> None:
    command = "cd /tmp && vaestudy launch /mine/quickstart.yaml search.trials=1 train.epochs=2 confirm.seeds=0"
    settings = "confirm.sources=0 target.seeds=1 tracking.mlflow=none"
    said = inside(container, "bash", "-c", f"{command} {settings} --results /tmp/results", mount=ROOT / "studies")
    assert "sgd" in said
