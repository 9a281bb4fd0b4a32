"""compose.yaml is of its schema, starts nothing without its secrets, and publishes nothing that nobody thought of."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.fixtures.docker_files import DOCKER, PROFILES, Document, checked, composed, documents, tried, with_secrets

SCHEMA = ["--builtin-schema", "vendor.compose-spec"]


@pytest.fixture(scope="module")
def compose() -> Document:
    (made,) = documents((DOCKER / "compose.yaml").read_text())
    return made


def test_it_is_of_its_schema() -> None:
    assert "ok -- validation done" in checked("check-jsonschema", *SCHEMA, DOCKER / "compose.yaml")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("    ports: [", "    port: ["),
        ("      retries: 12", "      tries: 12"),
        ("limits: {cpus:", "limits: {cores:"),
        ("    entrypoint: [driver]", "    entrypoint: 7"),
        ("networks:\n  databases:", "network:\n  databases:"),
    ],
)
def test_a_misspelt_key_is_not_of_its_schema(tmp_path: Path, right: str, wrong: str) -> None:
    text = (DOCKER / "compose.yaml").read_text()
    assert right in text
    (tmp_path / "compose.yaml").write_text(text.replace(right, wrong))
    done = tried("check-jsonschema", *SCHEMA, tmp_path / "compose.yaml")
    assert done.returncode == 1
    assert "Schema validation errors were encountered" in done.stdout


def test_without_secrets_nothing_starts(tmp_path: Path) -> None:
    docker = Path(shutil.copytree(DOCKER, tmp_path / "docker", ignore=shutil.ignore_patterns("*.env")))
    done = composed(docker)
    assert done.returncode != 0
    assert re.search(r"variable \w+ is missing a value: run make secrets", done.stderr)


def test_each_secret_is_needed(tmp_path: Path) -> None:
    docker = with_secrets(tmp_path)
    lines = (docker / ".env").read_text().splitlines()
    for line in lines:
        name = line.partition("=")[0]
        (docker / ".env").write_text("\n".join(other for other in lines if other != line))
        done = composed(docker, *PROFILES)
        assert done.returncode != 0, name
        assert f"variable {name} is missing a value: run make secrets" in done.stderr


def test_with_secrets_every_service_has_its_own_and_no_other(tmp_path: Path) -> None:
    docker = with_secrets(tmp_path)
    (made,) = documents(composed(docker, *PROFILES).stdout)
    secrets = dict(line.split("=", 1) for line in (docker / ".env").read_text().splitlines())
    held = {
        service: {name for name, secret in secrets.items() if secret in str(settings)}
        for service, settings in made["services"].items()
    }
    token = {"RAY_AUTH_TOKEN"}
    assert {name: held[name] for name in ("head", "worker", "worker-gpu")} == dict.fromkeys(
        ("head", "worker", "worker-gpu"), token
    )
    assert held["study"] == token | {"TRIALS_DATABASE_PASSWORD", "MLFLOW_PASSWORD"}
    assert "TRIALS_DATABASE_PASSWORD" not in held["mlflow"]
    assert "MLFLOW_PASSWORD" not in held["postgres"]


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
