"""docker/kubernetes as kubectl builds it, and the RayJob of ``vaestudy submit --on kuberay``: each sound, and together.

No schema of KubeRay's is to be had offline, so what we use of its version 1 is written down here, and nothing else may
be said. Pods are Kubernetes' own, and are held against its schema.
"""

from __future__ import annotations

import base64
import copy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from ray.scripts.scripts import start

from tests.fixtures.docker_files import Document, checked, kustomized, of_kind, tried, with_secrets
from tests.launched import ROOT
from vaestudy.spec.loader import load_study
from vaestudy.study import kuberay

QUICKSTART = ROOT / "studies" / "quickstart.yaml"
RESULTS = "/shared/my results"
IMAGE = "registry.example.org/vaestudy:0.1"
OVERLAYS = ("kubernetes", "kubernetes-gpu")
RAY = ("RayCluster", "RayJob")


def closed(properties: Document) -> Document:
    """An object that has all of these, and nothing else."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
WHOLE = {"type": "integer", "minimum": 0}
WORDS = {"type": "object", "additionalProperties": TEXT}
TEMPLATE = closed({"spec": {"type": "object"}})  # of pods, which Kubernetes' schema knows
WORKERS = closed(
    {
        "groupName": TEXT,
        "replicas": WHOLE,
        "minReplicas": WHOLE,
        "maxReplicas": WHOLE,
        "rayStartParams": WORDS,
        "template": TEMPLATE,
    }
)
CLUSTER = closed(
    {
        "rayVersion": TEXT,
        "authOptions": closed({"mode": {"const": "token"}}),  # since KubeRay 1.6
        "headGroupSpec": closed({"rayStartParams": WORDS, "template": TEMPLATE}),
        "workerGroupSpecs": {"type": "array", "items": WORKERS, "minItems": 1},
    }
)
JOB = closed(
    {
        "jobId": TEXT,
        "submissionMode": {"const": "HTTPMode"},  # the operator posts the job: no pod of its own that submits
        "entrypoint": TEXT,
        "runtimeEnvYAML": TEXT,
        "metadata": WORDS,
        "backoffLimit": WHOLE,
        "shutdownAfterJobFinishes": {"const": True},
        "ttlSecondsAfterFinished": WHOLE,
        "rayClusterSpec": CLUSTER,
    }
)


def schema(kind: str) -> Document:
    return closed(
        {
            "apiVersion": {"const": "ray.io/v1"},
            "kind": {"const": kind},
            "metadata": {"type": "object", "required": ["name", "namespace"]},
            "spec": JOB if kind == "RayJob" else CLUSTER,
        }
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Document]]:
    """What each folder makes of itself, and the one that ``submit`` renders."""
    docker = with_secrets(tmp_path_factory.mktemp("copied"))
    rendered = tmp_path_factory.mktemp("rendered")
    kuberay.render(rendered, load_study(QUICKSTART), RESULTS, IMAGE, 3)
    return {name: kustomized(docker / name) for name in OVERLAYS} | {"rendered": kustomized(rendered)}


@pytest.fixture(params=[*OVERLAYS, "rendered"])
def manifests(request: pytest.FixtureRequest, built: dict[str, list[Document]]) -> list[Document]:
    return built[request.param]


@pytest.fixture
def shared(built: dict[str, list[Document]]) -> list[Document]:
    return built["kubernetes"]


def cluster_of(manifests: list[Document]) -> Document:
    """The specification of the only Ray cluster."""
    (manifest,) = of_kind(manifests, *RAY)
    spec: Document = manifest["spec"]
    return spec.get("rayClusterSpec", spec)


def pods(manifests: list[Document]) -> list[tuple[dict[str, str], Document]]:
    """Labels and specification of every pod that will be; KubeRay gives its own pods' labels."""
    found = [
        (one["spec"]["template"]["metadata"]["labels"], one["spec"]["template"]["spec"])
        for one in of_kind(manifests, "Deployment", "StatefulSet")
    ]
    cluster = cluster_of(manifests)
    groups = [("head", cluster["headGroupSpec"]), *(("worker", group) for group in cluster["workerGroupSpecs"])]
    for kind, group in groups:
        found.append(({"ray.io/is-ray-node": "yes", "ray.io/node-type": kind}, group["template"]["spec"]))
    return found


def test_what_kubernetes_itself_reads_is_of_its_schema(manifests: list[Document], tmp_path: Path) -> None:
    core = [one for one in manifests if one["kind"] not in RAY]
    alone = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod} for _, pod in pods(manifests)
    ]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([*core, *alone]))
    assert checked("kubernetes-validate", "--strict", tmp_path / "all.yaml").count("passed") == len(core) + len(alone)


def test_a_misspelt_key_of_a_pod_is_not_of_the_schema(manifests: list[Document], tmp_path: Path) -> None:
    pod = copy.deepcopy(pods(manifests)[-1][1])
    pod["containers"][0]["volumeMount"] = pod["containers"][0].pop("volumeMounts")
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod}
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(manifest))
    assert tried("kubernetes-validate", "--strict", tmp_path / "pod.yaml").returncode != 0


def test_what_kuberay_reads_is_what_we_know_of_it(manifests: list[Document]) -> None:
    (manifest,) = of_kind(manifests, *RAY)
    jsonschema.validate(manifest, schema(manifest["kind"]))
    cluster = cluster_of(manifests)
    assert f"ray=={cluster['rayVersion']}\n" in (ROOT / "constraints.txt").read_text()
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    options = {name.removeprefix("--") for parameter in start.params for name in parameter.opts}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert set(group["rayStartParams"]) <= options


def levels(found: Any) -> Iterator[Document]:
    """Every object whose keys are KubeRay's."""
    if isinstance(found, list):
        for each in found:
            yield from levels(each)
    if isinstance(found, dict):
        yield found
        for key, value in found.items():
            if key not in ("metadata", "template", "rayStartParams"):  # Kubernetes' keys, or anybody's
                yield from levels(value)


def test_a_key_that_kuberay_does_not_know_is_refused_at_every_level(manifests: list[Document]) -> None:
    (manifest,) = copy.deepcopy(of_kind(manifests, *RAY))
    found = list(levels(manifest))
    assert len(found) >= 5
    for level in found:
        level["misspelt"] = "2"
        with pytest.raises(jsonschema.ValidationError, match="misspelt"):
            jsonschema.validate(manifest, schema(manifest["kind"]))
        del level["misspelt"]


def test_every_pod_is_nobody_special_and_has_limits(manifests: list[Document]) -> None:
    for _, pod in pods(manifests):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        for volume in pod["volumes"]:
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"]


def test_rays_pods_get_what_they_ask_for_and_only_the_head_has_credentials(manifests: list[Document]) -> None:
    head, *workers = [pod for labels, pod in pods(manifests) if "ray.io/node-type" in labels]
    for pod in (head, *workers):
        (container,) = pod["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert "/dev/shm" in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert head["containers"][0]["envFrom"][0]["secretRef"]["name"] == "vaestudy-credentials"
    assert all("envFrom" not in pod["containers"][0] for pod in workers)


def test_every_name_that_a_pod_uses_is_of_something_made(
    built: dict[str, list[Document]], manifests: list[Document]
) -> None:
    made = {(one["kind"], one["metadata"]["name"]) for one in [*built["kubernetes"], *manifests]}
    own = {claim["metadata"]["name"] for one in of_kind(manifests, "StatefulSet") for claim in own_claims(one)}
    for _, pod in pods(manifests):
        assert all(name in made for name in named(pod)), set(named(pod)) - made
        (container,) = pod["containers"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert volumes <= mounted <= volumes | own
    assert {one["metadata"]["namespace"] for one in manifests} == {"vaestudy"}


def own_claims(manifest: Document) -> list[Document]:
    claims: list[Document] = manifest["spec"]["volumeClaimTemplates"]
    return claims


def named(pod: Document) -> Iterator[tuple[str, str]]:
    """What a pod uses that is made elsewhere."""
    for container in pod["containers"]:
        for source in container.get("envFrom", []):
            yield "Secret", source["secretRef"]["name"]
    for volume in pod["volumes"]:
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]


def test_every_service_finds_its_pods_and_every_address_a_service(shared: list[Document]) -> None:
    served = set()
    for service in of_kind(shared, "Service"):
        spec = service["spec"]
        (found,) = [pod for labels, pod in pods(shared) if spec["selector"].items() <= labels.items()]
        opened = {port["containerPort"] for port in found["containers"][0]["ports"]}
        assert {port["port"] for port in spec["ports"]} == opened
        served |= {(service["metadata"]["name"], port) for port in opened}
    values = [base64.b64decode(value).decode() for one in of_kind(shared, "Secret") for value in one["data"].values()]
    addresses = [urlsplit(value) for value in values if "://" in value]
    assert len(addresses) == 4
    assert all((address.hostname, address.port) in served and address.password for address in addresses)


def test_mlflow_answers_to_the_name_that_its_service_has(shared: list[Document]) -> None:
    (deployment,) = of_kind(shared, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert "mlflow:5000" in environment["ALLOWED_HOSTS"].split(",")


def allowed(policies: list[Document], source: Document, target: dict[str, str], port: int, here: bool = True) -> bool:
    """Whether policies of this namespace let a pod with labels ``source``, of it or of another, reach a port."""
    selecting = [one["spec"] for one in policies if selects(one["spec"]["podSelector"], target)]
    assert selecting, "a pod that no policy is for lets everybody in"
    for spec in selecting:
        for rule in spec.get("ingress", []):
            ports = {each["port"] for each in rule.get("ports", [{"port": port}])}
            peers = [peer for peer in rule["from"] if here or "namespaceSelector" in peer]
            if port in ports and any(selects(peer["podSelector"], source) for peer in peers):
                return True
    return False


def selects(selector: Document, labels: dict[str, str]) -> bool:
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


HEAD = {"ray.io/is-ray-node": "yes", "ray.io/node-type": "head"}
WORKER = {"ray.io/is-ray-node": "yes", "ray.io/node-type": "worker"}
MLFLOW = {"app.kubernetes.io/name": "mlflow"}
POSTGRES = {"app.kubernetes.io/name": "postgres"}
HELM = {"app.kubernetes.io/name": "kuberay-operator", "app.kubernetes.io/component": "kuberay-operator"}
KUSTOMIZE = {"app.kubernetes.io/name": "kuberay", "app.kubernetes.io/component": "kuberay-operator"}
STRANGER = {"app": "anything"}


def test_the_network_lets_through_what_a_study_needs_and_nothing_else(shared: list[Document]) -> None:
    policies = of_kind(shared, "NetworkPolicy")
    assert all(one["spec"]["policyTypes"] == ["Ingress"] for one in policies)
    everybody = [labels for labels, _ in pods(shared)]
    assert all(labels in everybody for labels in (HEAD, WORKER, MLFLOW, POSTGRES))
    wanted = {
        *(("here", *pair, port) for pair in pairs("head", "worker") for port in (6379, 8265, 10002)),
        ("here", "head", "mlflow", 5000),
        ("here", "head", "postgres", 5432),
        ("here", "mlflow", "postgres", 5432),
        *((where, name, "head", 8265) for where in ("here", "elsewhere") for name in ("helm", "kustomize")),
        *((where, name, "worker", 8265) for where in ("here", "elsewhere") for name in ("helm", "kustomize")),
    }
    sources = {
        "head": HEAD,
        "worker": WORKER,
        "mlflow": MLFLOW,
        "postgres": POSTGRES,
        "helm": HELM,
        "kustomize": KUSTOMIZE,
        "stranger": STRANGER,
    }
    targets = {name: sources[name] for name in ("head", "worker", "mlflow", "postgres")}
    let_in = {
        (where, source, target, port)
        for where in ("here", "elsewhere")
        for source, from_labels in sources.items()
        for target, to_labels in targets.items()
        for port in (22, 5000, 5432, 6379, 8265, 10002)
        if allowed(policies, from_labels, to_labels, port, here=where == "here")
    }
    rays = {each for each in let_in if {each[1], each[2]} <= {"head", "worker"}}
    assert wanted <= let_in
    assert let_in - rays == {each for each in wanted if each not in rays}
    assert all(where == "here" for where, *_ in rays)


def pairs(*names: str) -> list[tuple[str, str]]:
    return [(one, other) for one in names for other in names]


def test_the_gpu_overlay_gives_each_worker_a_gpu_and_changes_nothing_else(built: dict[str, list[Document]]) -> None:
    with_gpus = copy.deepcopy(built["kubernetes-gpu"])
    for group in cluster_of(with_gpus)["workerGroupSpecs"]:
        resources = group["template"]["spec"]["containers"][0]["resources"]
        assert resources["limits"].pop("nvidia.com/gpu") == 1
        assert resources["requests"].pop("nvidia.com/gpu") == 1
    for one in of_kind(with_gpus, "Secret"):
        assert one in built["kubernetes"]
    assert with_gpus == built["kubernetes"]


def test_a_rayjob_has_its_results_where_it_was_told_and_shares_them(built: dict[str, list[Document]]) -> None:
    (job,) = of_kind(built["rendered"], "RayJob")
    assert f"--results {shlex.quote(RESULTS)}" in job["spec"]["entrypoint"]
    assert job["spec"]["metadata"]["results"] == RESULTS
    mounted = []
    for _, pod in pods(built["rendered"]):
        (container,) = pod["containers"]
        assert container["image"] == IMAGE
        mounted += [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == RESULTS]
        assert {"name": "results", "persistentVolumeClaim": {"claimName": "vaestudy-results"}} in pod["volumes"]
    assert mounted == ["results"] * 2
    (claim,) = [
        one for one in of_kind(built["kubernetes"], "PersistentVolumeClaim") if "results" in str(one["metadata"])
    ]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert [group["replicas"] for group in cluster_of(built["rendered"])["workerGroupSpecs"]] == [3]


def test_with_an_object_store_all_pods_have_its_keys_and_none_a_claim(tmp_path: Path) -> None:
    kuberay.render(tmp_path, load_study(QUICKSTART), "s3://group/studies", IMAGE, 2)
    (job,) = yaml.safe_load_all((tmp_path / "rayjob.yaml").read_text())
    assert job["spec"]["entrypoint"].endswith("--results s3://group/studies")
    for _, pod in pods([job]):
        (container,) = pod["containers"]
        assert {"secretRef": {"name": "vaestudy-store", "optional": False}} in container["envFrom"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert not any("persistentVolumeClaim" in volume for volume in pod["volumes"])


def test_what_travels_with_a_rayjob_lies_where_its_environment_looks(built: dict[str, list[Document]]) -> None:
    (job,) = of_kind(built["rendered"], "RayJob")
    (parcel,) = of_kind(built["rendered"], "ConfigMap")
    assert list(parcel["binaryData"]) == ["parcel.zip"]
    for _, pod in pods(built["rendered"]):
        (volume,) = [each for each in pod["volumes"] if each.get("configMap") == {"name": parcel["metadata"]["name"]}]
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert yaml.safe_load(job["spec"]["runtimeEnvYAML"]) == {
            "working_dir": f"file://{mounts[volume['name']]}/parcel.zip"
        }
