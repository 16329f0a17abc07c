"""The Feast repository of a deployment: registry, online store and offline store, named in Python, not in a folder."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from feast import FeatureStore, RepoConfig

from feature_repo.definitions import PROJECT
from penchant.errors import ConfigError

WRITE_BATCH = 5000


def connection_string(redis: str) -> str:
    """Feast's form of a Redis URL. Raises ConfigError for what Feast cannot express."""
    url = urlsplit(redis)
    if url.scheme not in ("redis", "rediss", "unix"):
        raise ConfigError(f"--redis {redis!r}: write redis://host:port/db, rediss://host:port/db or unix:///path?db=0")
    if url.scheme == "unix":
        parts = ["localhost:0", f"unix_socket_path={unquote(url.path)}"]
        database = parse_qs(url.query).get("db", ["0"])[0]
    else:
        parts = [f"{url.hostname or '127.0.0.1'}:{url.port or 6379}"]
        database = url.path.strip("/") or "0"
    parts.append(f"db={int(database)}")
    if url.scheme == "rediss":
        parts.append("ssl=true")
    for name, value in (("username", url.username), ("password", url.password)):
        if value is None or value == "":
            continue
        if "," in unquote(value):
            raise ConfigError(f"--redis: Feast cannot take a comma in the {name}: choose one without")
        # Quoted, because Feast reads the bare words true, null and 1e5 as JSON.
        parts.append(f"{name}={json.dumps(unquote(value))}")
    return ",".join(parts)


def described(redis: str, offline: Path) -> dict[str, Any]:
    """What a feature_store.yaml of this deployment says."""
    return {
        "project": PROJECT,
        "provider": "local",
        "registry": {"path": str(offline / "registry.db"), "cache_ttl_seconds": 0},
        "online_store": {
            "type": "redis",
            "connection_string": connection_string(redis),
            # Deleting a view matches project names by suffix: it would delete another project's keys.
            "full_scan_for_deletion": False,
        },
        "offline_store": {"type": "duckdb"},
        "entity_key_serialization_version": 3,
        # Without it only the first Arrow chunk of a view is written.
        "materialization": {"online_write_batch_size": WRITE_BATCH},
    }


def open_repository(redis: str, offline: Path) -> FeatureStore:
    """Feast's store of this deployment; <offline>/feature_store.yaml says the same to any other Feast client."""
    offline = offline.resolve()
    offline.mkdir(parents=True, exist_ok=True)
    settings = described(redis, offline)
    path = offline / "feature_store.yaml"
    path.touch(mode=0o600)  # It may hold a password.
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return FeatureStore(config=RepoConfig(**settings, repo_path=offline))
