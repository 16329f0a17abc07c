"""The base renders, is what Kubernetes knows, fits together, and every planted fault is seen."""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cross_references import problems, quantity, tables
from k8s_base import BASE, Resource, containers, named, of_kind, render, templates


@pytest.fixture
def base() -> list[Resource]:
    return render()


def test_every_file_of_the_base_is_listed() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(p.name for p in BASE.glob("*.yaml") if p.name != "kustomization.yaml")


def test_our_rendering_is_kubectls(base: list[Resource]) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    run = subprocess.run(["kubectl", "kustomize", str(BASE)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr

    def by_name(resources: list[Resource]) -> dict[str, Resource]:
        return {f"{r['kind']}/{r['metadata']['name']}": r for r in resources}

    assert by_name(list(yaml.safe_load_all(run.stdout))) == by_name(base)


def test_every_resource_is_valid_to_the_letter(base: list[Resource]) -> None:
    for resource in base:
        kubernetes_validate.validate(json.loads(json.dumps(resource)), "1.32", strict=True)


def test_the_base_fits_together(base: list[Resource]) -> None:
    assert problems(base) == []


def test_names_are_unique(base: list[Resource]) -> None:
    names = [(r["kind"], r["metadata"]["name"]) for r in base]
    assert len(names) == len(set(names))


def test_the_four_services_have_their_ports(base: list[Resource]) -> None:
    ports = {s["metadata"]["name"]: s["spec"]["ports"][0]["port"] for s in of_kind(base, "Service")}
    expected = {"recommender": 50051, "candidate-gen": 50052, "ranker": 50053, "feature-store": 50054, "redis": 6379}
    assert ports == expected


def test_jobs_use_the_training_image_and_services_the_small_one(base: list[Resource]) -> None:
    for owner, template in templates(base):
        images = {c["image"].split(":")[0] for c in containers(template)}
        name = owner["metadata"]["name"]
        expected = {"redis": "redis", "apply": "penchant-training", "training": "penchant-training"}
        expected["learning"] = "penchant-training"
        assert images == {expected.get(name, "penchant-services")}


def test_the_one_that_holds_the_log_is_alone(base: list[Resource]) -> None:
    store = named(base, "Deployment", "feature-store")["spec"]
    assert store["replicas"] == 1
    assert store["strategy"] == {"type": "Recreate"}


def deployment(resources: list[Resource], name: str) -> Any:
    return named(resources, "Deployment", name)["spec"]


def pod(resources: list[Resource], name: str) -> Any:
    return deployment(resources, name)["template"]["spec"]


def container(resources: list[Resource], name: str) -> Any:
    return pod(resources, name)["containers"][0]


def told(resources: list[Resource], old: str, new: str) -> None:
    data = named(resources, "ConfigMap", "penchant-config")["data"]
    assert old in data["penchant.toml"]
    data["penchant.toml"] = data["penchant.toml"].replace(old, new)


def without(resources: list[Resource], kind: str, name: str) -> None:
    resources.remove(named(resources, kind, name))


# (what is planted, what must be said of it)
TRAPS: list[tuple[Callable[[list[Resource]], Any], str]] = [
    (lambda r: deployment(r, "ranker")["selector"]["matchLabels"].update({"app.kubernetes.io/name": "rank"}),
     "Deployment ranker selects other pods than its own"),
    (lambda r: pod(r, "ranker")["topologySpreadConstraints"][0]["labelSelector"].update(matchLabels={"a": "b"}),
     "Deployment ranker spreads over other pods"),
    (lambda r: named(r, "StatefulSet", "redis")["spec"].update(serviceName="cache"), "redis names no Service"),
    (lambda r: named(r, "Service", "ranker")["spec"].update(selector={"app.kubernetes.io/name": "rank"}),
     "Service ranker selects no pod"),
    (lambda r: named(r, "Service", "ranker")["spec"]["ports"][0].update(targetPort="http"),
     "targets port http, which its pods lack"),
    (lambda r: named(r, "Service", "ranker")["spec"]["ports"][0].update(port=80), "port 80 is not what its pods"),
    (lambda r: container(r, "ranker")["readinessProbe"]["grpc"].update(port=50059), "asks port 50059"),
    (lambda r: container(r, "ranker")["livenessProbe"]["grpc"].pop("service"), "restart a pod that waits"),
    (lambda r: container(r, "ranker").pop("startupProbe"), "ranker/ranker has no startupProbe"),
    (lambda r: without(r, "ServiceAccount", "penchant-services"), "unknown account penchant-services"),
    (lambda r: without(r, "PersistentVolumeClaim", "penchant-log"), "unknown claim penchant-log"),
    (lambda r: pod(r, "ranker")["volumes"][0]["configMap"].update(name="config"), "unknown ConfigMap config"),
    (lambda r: container(r, "ranker")["env"][1]["valueFrom"]["secretKeyRef"].update(key="tokens"),
     "unknown secret penchant-token/tokens"),
    (lambda r: container(r, "feature-store")["env"].reverse(), "uses $(REDIS_PASSWORD) before it is set"),
    (lambda r: named(r, "Job", "apply")["spec"]["template"]["spec"]["containers"][0].update(env=[]),
     "passes $(REDIS_PASSWORD), which is not set"),
    (lambda r: container(r, "ranker")["env"].append({"name": "PENCHANT_CONFIG", "value": "x"}), "CONFIG twice"),
    (lambda r: container(r, "ranker")["volumeMounts"][2].update(name="temp"), "volume temp is unknown"),
    (lambda r: told(r, '"/var/lib/penchant/log"', '"/var/log"'), "log = /var/log lies in no writable volume"),
    (lambda r: container(r, "recommender")["volumeMounts"][-1].update(readOnly=True), "lies in no writable volume"),
    (lambda r: container(r, "ranker")["resources"]["requests"].update(memory="4Gi"), "more memory than its limit"),
    (lambda r: container(r, "ranker")["resources"]["limits"].pop("memory"), "ranker has no memory limit"),
    (lambda r: container(r, "recommender")["resources"]["limits"].update({"ephemeral-storage": "32Mi"}),
     "its emptyDirs may outgrow its ephemeral-storage limit"),
    (lambda r: told(r, "exposure_bytes = 1073741824", "exposure_bytes = 9000000000"), "the exposure logs, those"),
    (lambda r: container(r, "recommender")["volumeMounts"][3].pop("subPathExpr"), "pods share one folder of exposures"),
    (lambda r: named(r, "CronJob", "training")["spec"].update(schedule="15 24 * * *"), "is no schedule"),
    (lambda r: named(r, "CronJob", "training")["spec"].update(schedule="15 3 * *"), "is no schedule"),
    (lambda r: named(r, "CronJob", "training")["spec"].update(timeZone="Berlin"), "is no time zone"),
    (lambda r: told(r, "drain_s = 10.0", "drain_s = 25.0"), "is killed while it drains"),
    (lambda r: pod(r, "ranker").update(terminationGracePeriodSeconds=15), "ranker is killed while it drains"),
    (lambda r: pod(r, "ranker")["securityContext"].pop("runAsNonRoot"), "ranker may run as root"),
    (lambda r: container(r, "ranker")["securityContext"].pop("readOnlyRootFilesystem"), "may write its image"),
    (lambda r: container(r, "ranker")["securityContext"].pop("capabilities"), "holds capabilities"),
    (lambda r: pod(r, "ranker").pop("automountServiceAccountToken"), "ranker holds an API token"),
    (lambda r: pod(r, "ranker").pop("enableServiceLinks"), "gets variables of every Service"),
    (lambda r: deployment(r, "ranker").update(replicas=1), "PodDisruptionBudget ranker lets no node drain"),
    (lambda r: named(r, "PodDisruptionBudget", "ranker")["spec"]["selector"].update(matchLabels={"a": "b"}),
     "ranker protects 0 deployments"),
    (lambda r: named(r, "NetworkPolicy", "leaves")["spec"]["podSelector"]["matchExpressions"][0].update(values=["x"]),
     "leaves names x, which no pod is called"),
    (lambda r: named(r, "NetworkPolicy", "redis")["spec"]["ingress"][0]["ports"][0].update(port="grpc"),
     "redis opens port grpc, which its pods lack"),
    (lambda r: without(r, "NetworkPolicy", "jobs"), "training is guarded by no NetworkPolicy"),
    (lambda r: told(r, "dns:///ranker:50053", "dns:///ranker:50052"), "where no Service listens"),
    (lambda r: named(r, "Service", "ranker")["spec"].pop("clusterIP"), "ranker:50053, which is not headless"),
    (lambda r: container(r, "feature-store")["env"][-1].update(value="redis://:x@cache:6379/0"), "no Service listens"),
    (lambda r: told(r, "port = 50053", "port = 50055"), "is told to listen on 50055"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "said"), TRAPS, ids=[said for _, said in TRAPS])
def test_a_planted_fault_is_seen(base: list[Resource], plant: Callable[[list[Resource]], Any], said: str) -> None:
    broken = copy.deepcopy(base)
    plant(broken)
    found = problems(broken)
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize("text", ["1 Gi", "1gb", "-1", "", "1GiB"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)


def test_the_config_names_every_service(base: list[Resource]) -> None:
    assert set(tables(base)) == {"recommender", "candidate_gen", "ranker", "feature_store"}
