"""Renders k8s/base without kubectl: exact as long as the base uses namespace, labels and resources alone."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "k8s" / "base"
Resource = dict[str, Any]
_KNOWN = {"apiVersion", "kind", "namespace", "labels", "resources"}
_CLUSTER_WIDE = {"Namespace"}


def render(base: Path = BASE) -> list[Resource]:
    """Every resource of a base, with its namespace and common labels."""
    kustomization = yaml.safe_load((base / "kustomization.yaml").read_text())
    assert set(kustomization) <= _KNOWN, f"only kubectl renders {set(kustomization) - _KNOWN}: teach this one"
    resources = []
    for name in kustomization["resources"]:
        # Each copied: a file's YAML anchors make several places one object.
        resources += [copy.deepcopy(r) for r in yaml.safe_load_all((base / name).read_text()) if r]
    for resource in resources:
        metadata = resource["metadata"]
        if resource["kind"] not in _CLUSTER_WIDE:
            metadata["namespace"] = kustomization["namespace"]
        for entry in kustomization["labels"]:
            assert set(entry) == {"pairs"}
            metadata.setdefault("labels", {}).update(entry["pairs"])
    return resources


def of_kind(resources: list[Resource], *kinds: str) -> list[Resource]:
    return [r for r in resources if r["kind"] in kinds]


def named(resources: list[Resource], kind: str, name: str) -> Resource:
    return next(r for r in resources if r["kind"] == kind and r["metadata"]["name"] == name)


def templates(resources: list[Resource]) -> Iterator[tuple[Resource, Resource]]:
    """(owner, pod template) of everything that makes pods."""
    for resource in resources:
        match resource["kind"]:
            case "Deployment" | "StatefulSet" | "Job":
                yield resource, resource["spec"]["template"]
            case "CronJob":
                yield resource, resource["spec"]["jobTemplate"]["spec"]["template"]


def containers(template: Resource) -> list[Resource]:
    return template["spec"].get("initContainers", []) + template["spec"]["containers"]


def matches(selector: Resource, labels: dict[str, str]) -> bool:
    """A LabelSelector, or a Service's plain map under matchLabels."""
    if any(labels.get(k) != v for k, v in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In"
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return True
