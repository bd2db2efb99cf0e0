"""The manifests against the schemas of Kubernetes, and against each other."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from losswatch_server.settings import PREFIX, Settings, option

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
VERSION = "1.31"


def manifests() -> dict[str, dict[str, Any]]:
    read = {}
    for name in KUSTOMIZATION["resources"]:
        (read[name],) = yaml.safe_load_all((FOLDER / name).read_text())
    return read


MANIFESTS = manifests()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MANIFESTS)
def test_kubernetes_takes_the_manifest(name: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], VERSION, strict=True)


def test_every_file_is_applied_and_documented() -> None:
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(MANIFESTS)
    readme = (FOLDER / "README.md").read_text()
    assert [name for name in files if f"`{name}`" not in readme] == []


def pods() -> list[dict[str, Any]]:
    return [one["spec"]["template"] for one in MANIFESTS.values() if one["kind"] in ("Deployment", "Job")]


@pytest.mark.parametrize("pod", pods(), ids=lambda pod: pod["metadata"]["labels"]["app.kubernetes.io/name"])
def test_a_pod_has_no_privileges_and_no_account(pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    user = re.search(r"USER (\d+):(\d+)", (ROOT / "deploy" / "Containerfile").read_text())
    assert user is not None
    assert [spec["securityContext"][who] for who in ("runAsUser", "runAsGroup")] == [int(user[1]), int(user[2])]
    for container in spec["containers"]:
        allowed = container["securityContext"]
        assert (allowed["allowPrivilegeEscalation"], allowed["readOnlyRootFilesystem"]) == (False, True)
        assert allowed["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
        assert container["image"] in {image["name"] for image in KUSTOMIZATION["images"]}


def test_what_selects_the_pods_selects_them() -> None:
    deployment = MANIFESTS["deployment.yaml"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert MANIFESTS["service.yaml"]["spec"]["selector"] == labels
    assert MANIFESTS["disruption-budget.yaml"]["spec"]["selector"]["matchLabels"] == labels
    (selected,) = MANIFESTS["network-policy.yaml"]["spec"]["podSelector"]["matchExpressions"]
    assert {pod["metadata"]["labels"][selected["key"]] for pod in pods()} == set(selected["values"])
    target = MANIFESTS["autoscaler.yaml"]["spec"]["scaleTargetRef"]
    assert target["name"] == MANIFESTS["deployment.yaml"]["metadata"]["name"]
    assert (
        MANIFESTS["autoscaler.yaml"]["spec"]["minReplicas"]
        > MANIFESTS["disruption-budget.yaml"]["spec"]["minAvailable"]
    )


def test_ports_probes_and_settings_are_those_of_the_service() -> None:
    (container,) = MANIFESTS["deployment.yaml"]["spec"]["template"]["spec"]["containers"]
    names = {port["name"] for port in container["ports"]}
    paths = json.loads((ROOT / "openapi.json").read_text())["paths"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] in paths
        assert container[probe]["httpGet"]["port"] in names
    assert {port["targetPort"] for port in MANIFESTS["service.yaml"]["spec"]["ports"]} <= names
    (settings,) = KUSTOMIZATION["configMapGenerator"]
    given = dict(one.split("=", 1) for one in settings["literals"])
    known = {PREFIX + field.name.upper() for field in fields(Settings)}
    assert set(given) <= known
    read = Settings.from_env(given)
    patience = MANIFESTS["deployment.yaml"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert read.drain_s + read.graceful_timeout_s < patience
    probe = container["readinessProbe"]
    assert read.drain_s > probe["periodSeconds"] * probe["failureThreshold"]
    command, *arguments = container["args"]
    assert command == "serve"
    assert {one.split("=")[0] for one in arguments} <= {option(field.name) for field in fields(Settings)}
