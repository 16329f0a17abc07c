"""What a schema cannot see: do the manifests fit together? Each check yields sentences, none when all is well."""

import re
import tomllib
import zoneinfo
from collections.abc import Iterator
from typing import Any

from k8s_base import Resource, containers, matches, named, of_kind, templates

EXTERNAL_SECRETS = {"penchant-token": {"token", "redis"}}
"""Made by the person who deploys; k8s/README.md says how."""
_CRON = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
_UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
DRAIN_SLACK_S = 5


def problems(resources: list[Resource]) -> list[str]:
    """Everything wrong with a set of manifests."""
    checks = (
        selectors, services, probes, references, mounts, resources_of, schedules, draining, closed, budgets, policies,
        addresses,
    )  # fmt: skip
    return [f"{check.__name__}: {said}" for check in checks for said in check(resources)]


def selectors(resources: list[Resource]) -> Iterator[str]:
    for owner in of_kind(resources, "Deployment", "StatefulSet"):
        labels = owner["spec"]["template"]["metadata"]["labels"]
        if not matches(owner["spec"]["selector"], labels):
            yield f"{_name(owner)} selects other pods than its own"
        for spread in owner["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            if not matches(spread["labelSelector"], labels):
                yield f"{_name(owner)} spreads over other pods than its own"
    for owner in of_kind(resources, "StatefulSet"):
        if not any(s["metadata"]["name"] == owner["spec"]["serviceName"] for s in of_kind(resources, "Service")):
            yield f"{_name(owner)} names no Service"


def services(resources: list[Resource]) -> Iterator[str]:
    for service in of_kind(resources, "Service"):
        chosen = _pods(resources, {"matchLabels": service["spec"]["selector"]})
        if not chosen:
            yield f"{_name(service)} selects no pod"
        for port in service["spec"]["ports"]:
            for template in chosen:
                if _port(template, port["targetPort"]) is None:
                    yield f"{_name(service)} targets port {port['targetPort']}, which its pods lack"
                elif service["spec"].get("clusterIP") == "None" and _port(template, port["targetPort"]) != port["port"]:
                    yield f"{_name(service)} is headless: port {port['port']} is not what its pods listen on"


def probes(resources: list[Resource]) -> Iterator[str]:
    for owner, template in templates(resources):
        for container in template["spec"]["containers"]:
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container.get(kind)
                if probe is None:
                    if owner["kind"] in ("Deployment", "StatefulSet"):
                        yield f"{_name(owner)}/{container['name']} has no {kind}"
                    continue
                port = probe.get("grpc", probe.get("tcpSocket", {})).get("port")
                if port is not None and _port(template, port) is None:
                    yield f"{_name(owner)} {kind} asks port {port}, which nothing listens on"
                if "grpc" in probe and kind != "readinessProbe" and probe["grpc"].get("service") != "liveness":
                    yield f"{_name(owner)} {kind} would restart a pod that waits for its bundle"


def references(resources: list[Resource]) -> Iterator[str]:
    held = {(r["kind"], r["metadata"]["name"]) for r in resources}
    for owner, template in templates(resources):
        spec = template["spec"]
        if ("ServiceAccount", spec["serviceAccountName"]) not in held:
            yield f"{_name(owner)} runs as an unknown account {spec['serviceAccountName']}"
        for volume in spec.get("volumes", []):
            if "configMap" in volume and ("ConfigMap", volume["configMap"]["name"]) not in held:
                yield f"{_name(owner)} mounts an unknown ConfigMap {volume['configMap']['name']}"
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and ("PersistentVolumeClaim", claim) not in held:
                yield f"{_name(owner)} mounts an unknown claim {claim}"
        for container in containers(template):
            yield from _environment(owner, container)


def _environment(owner: Resource, container: Resource) -> Iterator[str]:
    known: set[str] = set()
    for entry in container.get("env", []):
        if entry["name"] in known:
            yield f"{_name(owner)} sets {entry['name']} twice"
        for used in re.findall(r"\$\((\w+)\)", entry.get("value", "")):
            if used not in known:
                yield f"{_name(owner)} uses $({used}) before it is set"
        known.add(entry["name"])
        secret = entry.get("valueFrom", {}).get("secretKeyRef")
        if secret and secret["key"] not in EXTERNAL_SECRETS.get(secret["name"], ()):
            yield f"{_name(owner)} reads an unknown secret {secret['name']}/{secret['key']}"
    for argument in container.get("args", []):
        for used in re.findall(r"\$\((\w+)\)", argument):
            if used not in known:
                yield f"{_name(owner)} passes $({used}), which is not set"


def mounts(resources: list[Resource]) -> Iterator[str]:
    for owner, template in templates(resources):
        volumes = {v["name"] for v in template["spec"].get("volumes", [])}
        volumes |= {v["metadata"]["name"] for v in owner["spec"].get("volumeClaimTemplates", [])}
        used = {m["name"] for c in containers(template) for m in c.get("volumeMounts", [])}
        for name in volumes ^ used:
            yield f"{_name(owner)}: volume {name} is {'not mounted' if name in volumes else 'unknown'}"
    for service in ("recommender", "candidate-gen", "ranker", "feature-store"):
        container = named(resources, "Deployment", service)["spec"]["template"]["spec"]["containers"][0]
        table = tables(resources)[service.replace("-", "_")]
        for setting, writes in (("bundles", False), ("plan", False), ("log", True), ("exposures", True)):
            if setting not in table:
                continue
            mount = next((m for m in container["volumeMounts"] if _below(table[setting], m["mountPath"])), None)
            if mount is None or (writes and mount.get("readOnly")):
                yield f"{service}: {setting} = {table[setting]} lies in no {'writable ' if writes else ''}volume"


def resources_of(resources: list[Resource]) -> Iterator[str]:
    for owner, template in templates(resources):
        for container in containers(template):
            needs = container["resources"]
            for kind in ("cpu", "memory"):
                if kind not in needs["requests"]:
                    yield f"{_name(owner)} requests no {kind}"
            if "memory" not in needs["limits"]:
                yield f"{_name(owner)} has no memory limit"
            for kind, most in needs["limits"].items():
                if quantity(needs["requests"].get(kind, "0")) > quantity(most):
                    yield f"{_name(owner)} requests more {kind} than its limit"
            scratch = sum(
                quantity(v["emptyDir"]["sizeLimit"]) for v in template["spec"].get("volumes", []) if "emptyDir" in v
            )
            if scratch > quantity(needs["limits"]["ephemeral-storage"]):
                yield f"{_name(owner)}: its emptyDirs may outgrow its ephemeral-storage limit"
    recommender = named(resources, "Deployment", "recommender")["spec"]
    claim = named(resources, "PersistentVolumeClaim", "penchant-exposures")["spec"]["resources"]["requests"]["storage"]
    cap = 1.25 * tables(resources)["recommender"]["exposure_bytes"]
    if quantity(claim) < 4 * recommender["replicas"] * cap:
        yield "recommender: the exposure logs, those of pods that are gone included, may outgrow their claim"
    (mount,) = (m for m in recommender["template"]["spec"]["containers"][0]["volumeMounts"] if m["name"] == "exposures")
    if mount.get("subPathExpr") != "$(POD_NAME)":
        yield "recommender: pods share one folder of exposures, and a log has one writer"
    redis = named(resources, "StatefulSet", "redis")["spec"]["template"]["spec"]["containers"][0]
    held = redis["args"][redis["args"].index("--maxmemory") + 1]
    if int(held.removesuffix("gb")) * 2**30 * 1.5 > quantity(redis["resources"]["limits"]["memory"]):
        yield "redis: a snapshot at maxmemory may outgrow the memory limit"


def schedules(resources: list[Resource]) -> Iterator[str]:
    for job in of_kind(resources, "CronJob"):
        fields = job["spec"]["schedule"].split()
        if len(fields) != 5 or not all(_cron_field(f, *bounds) for f, bounds in zip(fields, _CRON, strict=True)):
            yield f"{_name(job)}: {job['spec']['schedule']!r} is no schedule"
        if job["spec"]["timeZone"] not in zoneinfo.available_timezones():
            yield f"{_name(job)}: {job['spec']['timeZone']!r} is no time zone"


def draining(resources: list[Resource]) -> Iterator[str]:
    for owner in of_kind(resources, "Deployment"):
        pod = owner["spec"]["template"]["spec"]
        pause = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drain = tables(resources)[owner["metadata"]["name"].replace("-", "_")]["drain_s"]
        if pod["terminationGracePeriodSeconds"] < pause + drain + DRAIN_SLACK_S:
            yield f"{_name(owner)} is killed while it drains: {pause} s pause + {drain} s drain + {DRAIN_SLACK_S} s"


def closed(resources: list[Resource]) -> Iterator[str]:
    """Pod Security Standards' restricted profile, a read-only root, no API token, no service environment."""
    for owner, template in templates(resources):
        spec = template["spec"]
        if not spec["securityContext"].get("runAsNonRoot") or not spec["securityContext"].get("runAsUser"):
            yield f"{_name(owner)} may run as root"
        if spec["securityContext"].get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{_name(owner)} has no seccomp profile"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{_name(owner)} holds an API token"
        if spec.get("enableServiceLinks") is not False:
            yield f"{_name(owner)} gets variables of every Service"
        for container in containers(template):
            context = container.get("securityContext", {})
            if not context.get("readOnlyRootFilesystem"):
                yield f"{_name(owner)}/{container['name']} may write its image"
            if context.get("allowPrivilegeEscalation") is not False or context.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{_name(owner)}/{container['name']} holds capabilities"


def budgets(resources: list[Resource]) -> Iterator[str]:
    for budget in of_kind(resources, "PodDisruptionBudget"):
        owners = [
            owner for owner, template in templates(resources)
            if matches(budget["spec"]["selector"], template["metadata"]["labels"])
        ]  # fmt: skip
        if len(owners) != 1:
            yield f"{_name(budget)} protects {len(owners)} deployments"
        elif owners[0]["spec"]["replicas"] <= budget["spec"]["minAvailable"]:
            yield f"{_name(budget)} lets no node drain"


def policies(resources: list[Resource]) -> Iterator[str]:
    guarded = set()
    for policy in of_kind(resources, "NetworkPolicy"):
        chosen = _pods(resources, policy["spec"]["podSelector"])
        guarded |= {t["metadata"]["labels"]["app.kubernetes.io/name"] for t in chosen}
        named_in = _values(policy["spec"])
        known = {t["metadata"]["labels"]["app.kubernetes.io/name"] for _, t in templates(resources)}
        for name in named_in - known:
            yield f"{_name(policy)} names {name}, which no pod is called"
        for rule in policy["spec"].get("ingress", []):
            for port in rule.get("ports", []):
                if any(_port(template, port["port"]) is None for template in chosen):
                    yield f"{_name(policy)} opens port {port['port']}, which its pods lack"
    for _, template in templates(resources):
        if (name := template["metadata"]["labels"]["app.kubernetes.io/name"]) not in guarded:
            yield f"{name} is guarded by no NetworkPolicy"


def addresses(resources: list[Resource]) -> Iterator[str]:
    """Every dns:/// address and Redis URL names a Service and its port; every service listens where its pod says."""
    listening = {
        (s["metadata"]["name"], p["port"]): s for s in of_kind(resources, "Service") for p in s["spec"]["ports"]
    }
    said = [
        (name, v) for name, table in tables(resources).items() for v in table.values()
        if isinstance(v, str) and v.startswith("dns:///")
    ]  # fmt: skip
    for owner, template in templates(resources):
        for container in containers(template):
            values = [e.get("value", "") for e in container.get("env", [])] + container.get("args", [])
            said += [(_name(owner), v) for v in values if v.startswith("redis://")]
    for who, address in said:
        host, _, port = re.sub(r"^(dns:///|redis://(:[^@]*@)?)", "", address).split("/")[0].partition(":")
        service = listening.get((host, int(port)))
        if service is None:
            yield f"{who} calls {address}, where no Service listens"
        elif address.startswith("dns:") and service["spec"].get("clusterIP") != "None":
            yield f"{who} balances calls over {address}, which is not headless"
    for deployment in of_kind(resources, "Deployment"):
        table = tables(resources)[deployment["metadata"]["name"].replace("-", "_")]
        if _port(deployment["spec"]["template"], "grpc") != table["port"]:
            yield f"{_name(deployment)} is told to listen on {table['port']}, its pod says otherwise"


def tables(resources: list[Resource]) -> dict[str, Any]:
    """penchant.toml of the ConfigMap."""
    return tomllib.loads(named(resources, "ConfigMap", "penchant-config")["data"]["penchant.toml"])


def quantity(text: str) -> float:
    """A Kubernetes quantity in units. Raises ValueError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m|k|M|G|Ki|Mi|Gi|Ti)?", str(text))
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    return float(found[1]) * _UNITS[found[2] or ""]


def _cron_field(text: str, low: int, high: int) -> bool:
    for part in text.split(","):
        found = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/([1-9]\d*))?", part)
        if found is None or any(not low <= int(n) <= high for n in found.groups()[:2] if n is not None):
            return False
    return True


def _name(resource: Resource) -> str:
    return f"{resource['kind']} {resource['metadata']['name']}"


def _pods(resources: list[Resource], selector: Resource) -> list[Resource]:
    return [t for _, t in templates(resources) if matches(selector, t["metadata"]["labels"])]


def _port(template: Resource, wanted: str | int) -> int | None:
    for container in template["spec"]["containers"]:
        for port in container.get("ports", []):
            if wanted in (port.get("name"), port["containerPort"]):
                return int(port["containerPort"])
    return None


def _values(node: Any) -> set[str]:
    """Every app.kubernetes.io/name that a selector names."""
    if isinstance(node, list):
        return set().union(*map(_values, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = set(node["values"]) if node.get("key") == "app.kubernetes.io/name" else set()
    if "app.kubernetes.io/name" in node:
        found.add(node["app.kubernetes.io/name"])
    return found.union(*map(_values, node.values()))


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")
