"""What is in docker/ is well formed, agrees with the rest, and is safe where nobody thought of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.launched import ROOT
from vaestudy.spec import load_study
from vaestudy.study import kuberay, slurm

DOCKER = ROOT / "docker"
KUBERNETES = DOCKER / "kubernetes"
QUICKSTART = ROOT / "studies" / "quickstart.yaml"

Document = dict[str, Any]


def checked(tool: str, *arguments: object) -> str:
    """What a checker says that finds no fault."""
    path = shutil.which(tool, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if path is None and os.environ.get("CI") != "true":
        pytest.skip(f"{tool} is not installed")
    assert path, f"{tool} is not installed"
    done = subprocess.run([path, *map(str, arguments)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def documents(path: Path) -> list[Document]:
    return list(yaml.safe_load_all(path.read_text()))


@pytest.fixture(scope="module")
def compose() -> Document:
    (made,) = documents(DOCKER / "compose.yaml")
    return made


def test_the_dockerfile_passes_hadolint() -> None:
    checked("hadolint", DOCKER / "Dockerfile")


def test_the_scripts_pass_shellcheck() -> None:
    checked("shellcheck", *DOCKER.rglob("*.sh"))


def test_what_kubernetes_itself_reads_is_of_its_schema() -> None:
    files = [KUBERNETES / f"{name}.yaml" for name in ("storage", "postgres", "mlflow", "network")]
    said = checked("kubernetes-validate", "--strict", *files)
    assert said.count("passed") == sum(len(documents(path)) for path in files)


def test_rays_launcher_reads_its_file() -> None:
    (cluster,) = documents(DOCKER / "ray-cluster.yaml")
    validate_config(prepare_config(cluster))


def test_no_service_has_a_password_of_its_own(compose: Document) -> None:
    for name, service in compose["services"].items():
        for key, value in service.get("environment", {}).items():
            if any(word in key for word in ("PASSWORD", "TOKEN", "KEY", "CREDENTIAL", "_URI")):
                assert ":?run make secrets}" in value, (name, key)


def test_only_mlflow_is_published_and_on_the_loopback_address_alone(compose: Document) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert ports == {"mlflow": ["127.0.0.1:5000:5000"]}


def test_every_service_has_limits_and_a_health_check_and_may_gain_no_privilege(compose: Document) -> None:
    for name, service in compose["services"].items():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert "healthcheck" in service, name
        assert "no-new-privileges:true" in service["security_opt"], name
        if name != "postgres":
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name


def test_workers_hold_no_credential(compose: Document) -> None:
    for name in ("head", "worker", "worker-gpu"):
        assert set(compose["services"][name]["environment"]) == {"RAY_AUTH_TOKEN"}
        assert "databases" not in compose["services"][name]["networks"]


def test_every_image_is_pinned_and_none_is_archived(compose: Document) -> None:
    images = [service["image"] for service in compose["services"].values()]
    assert all(":" in image for image in images)
    assert not any("minio" in image for image in images)
    assert {image for image in images if image.startswith("vaestudy")} == {"vaestudy:${VAESTUDY_TAG:-latest}"}


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


def pods(manifest: Document) -> list[Document]:
    """The pods of a RayCluster's or a RayJob's specification, the head's first."""
    spec = manifest["spec"].get("rayClusterSpec", manifest["spec"])
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


@pytest.fixture(scope="module", params=["docker/kubernetes", "vaestudy submit --on kuberay"])
def ray_manifest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Document:
    if request.param == "docker/kubernetes":
        (made,) = documents(KUBERNETES / "raycluster.yaml")
    else:
        folder = tmp_path_factory.mktemp("rendered")
        kuberay.render(folder, load_study(QUICKSTART), "/results", "vaestudy:latest", 2)
        (made,) = documents(folder / "rayjob.yaml")
    return made


def test_ray_under_kubernetes_is_the_pinned_one_and_asks_for_its_token(ray_manifest: Document) -> None:
    spec = ray_manifest["spec"].get("rayClusterSpec", ray_manifest["spec"])
    assert ray_manifest["apiVersion"] == "ray.io/v1"
    assert f"ray=={spec['rayVersion']}\n" in (ROOT / "constraints.txt").read_text()
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_rays_pods_are_nobody_special_and_only_the_head_has_credentials(ray_manifest: Document) -> None:
    head, *workers = pods(ray_manifest)
    for pod in (head, *workers):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert "/dev/shm" in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert head["containers"][0]["envFrom"][0]["secretRef"]["name"] == "vaestudy-credentials"
    assert all("envFrom" not in pod["containers"][0] for pod in workers)


def test_with_an_object_store_all_pods_have_its_keys_and_none_a_claim(tmp_path: Path) -> None:
    kuberay.render(tmp_path, load_study(QUICKSTART), "s3://group/studies", "vaestudy:latest", 2)
    (made,) = documents(tmp_path / "rayjob.yaml")
    assert made["spec"]["entrypoint"].endswith("--results s3://group/studies")
    for pod in pods(made):
        (container,) = pod["containers"]
        assert {"secretRef": {"name": "vaestudy-store", "optional": False}} in container["envFrom"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert not any("persistentVolumeClaim" in volume for volume in pod["volumes"])


def test_kustomize_finds_every_file_that_it_names(tmp_path: Path) -> None:
    made = {"postgres.env", "mlflow.env", "credentials.env"}  # by make secrets
    (kustomization,) = documents(KUBERNETES / "kustomization.yaml")
    generators = [*kustomization["secretGenerator"], *kustomization["configMapGenerator"]]
    named = [*kustomization["resources"], *(name for one in generators for name in one.get("envs", one.get("files")))]
    assert all((KUBERNETES / name).exists() or name in made for name in named)
    assert {name for name in named if name.endswith(".env")} == made


def test_the_slurm_script_passes_shellcheck_whatever_its_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    script = slurm.render(folder, load_study(QUICKSTART), "/shared/my results", nodes=3)
    checked("shellcheck", script)
    assert "#SBATCH --nodes=3\n" in script.read_text()
