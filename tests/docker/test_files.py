"""The Dockerfile, the scripts and Ray's launcher file pass those who know them; secrets are for one pair of eyes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from ray.autoscaler._private.util import prepare_config, validate_config

from tests.fixtures.docker_files import DOCKER, checked, documents
from tests.launched import ROOT
from vaestudy.spec.loader import load_study
from vaestudy.study import slurm

QUICKSTART = ROOT / "studies" / "quickstart.yaml"


def test_the_dockerfile_passes_hadolint() -> None:
    checked("hadolint", DOCKER / "Dockerfile")


def test_the_scripts_pass_shellcheck() -> None:
    checked("shellcheck", *DOCKER.rglob("*.sh"))


def test_rays_launcher_reads_its_file() -> None:
    (cluster,) = documents((DOCKER / "ray-cluster.yaml").read_text())
    validate_config(prepare_config(cluster))


def test_no_dashboard_listens_beyond_loopback() -> None:
    (compose,) = documents((DOCKER / "compose.yaml").read_text())
    (launcher,) = documents((DOCKER / "ray-cluster.yaml").read_text())
    entrypoints = [str(service.get("entrypoint")) for service in compose["services"].values()]
    starts = [*launcher["head_start_ray_commands"], *entrypoints]
    heads = [command for command in starts if "--head" in command]
    assert len(heads) == 2
    assert not any("dashboard-host" in command for command in heads), "Ray's own choice is 127.0.0.1"


def test_every_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "kubernetes").mkdir()
    script = shutil.copy(DOCKER / "secrets.sh", tmp_path)
    assert subprocess.run([script], check=True, capture_output=True, text=True).stdout.startswith("Wrote docker/.env")
    made = [tmp_path / ".env", *sorted((tmp_path / "kubernetes").iterdir())]
    assert [path.stat().st_mode & 0o777 for path in made] == [0o600] * 4
    values = dict(line.split("=", 1) for line in made[0].read_text().splitlines())
    assert set(values) == set(re.findall(r"\$\{(\w+):\?", (DOCKER / "compose.yaml").read_text()))
    assert len(set(values.values())) == len(values)
    assert all(len(value) >= 48 for value in values.values())
    again = subprocess.run([script], check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "docker/.env exists already" in again.stderr
    assert dict(line.split("=", 1) for line in made[0].read_text().splitlines()) == values


def test_secrets_are_in_no_commit() -> None:
    names = ["docker/.env", *(f"docker/kubernetes/{name}.env" for name in ("postgres", "mlflow", "credentials"))]
    said = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, check=False, capture_output=True, text=True)
    assert said.stdout.split() == names


def test_the_slurm_script_passes_shellcheck_whatever_its_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    script = slurm.render(folder, load_study(QUICKSTART), "/shared/my results", nodes=3)
    checked("shellcheck", script)
    assert "#SBATCH --nodes=3\n" in script.read_text()
