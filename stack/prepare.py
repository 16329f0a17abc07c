"""From data to a stack that can serve: train, replay the features, apply the Feast repository, load the store."""

from pathlib import Path
from typing import Any

import redis

from penchant.bundle import current, read_manifest
from penchant.errors import ConfigError, StoreUnavailable
from stack.health import RedisHealth
from stack.layout import Layout
from stack.steps import Steps

REDIS_VARIABLE = "PENCHANT_FEATURE_STORE__REDIS"
_FEATURES_OF = "BUNDLE"
"""File of the offline folder: the bundle whose features lie there."""
_LOADED = "penchant:loaded"
"""Redis key: the bundle whose features were loaded into this store."""


def require_redis(url: str) -> None:
    """Raises StoreUnavailable if a server of one's own is named and does not answer."""
    if url and (why_not := RedisHealth(url).why_not(5.0)):
        raise StoreUnavailable(f"the named Redis does not answer ({why_not}): mend --redis, or leave it out")


def train(steps: Steps, data: Path, layout: Layout, recipe: str, seed: int) -> dict[str, Any]:
    """Fit and publish a bundle; what fit said of itself."""
    return steps.run(
        "fit", "-m", "training", "fit", "--data", data, "--recipe", recipe, "--bundles", layout.bundles,
        "--seed", str(seed),
    )  # fmt: skip


def replay_features(steps: Steps, data: Path, layout: Layout) -> dict[str, Any]:
    """Write the offline features of the published bundle's training part."""
    done = steps.run(
        "features", "-m", "training", "features", "--data", data, "--bundles", layout.bundles, "--out", layout.offline
    )
    (layout.offline / _FEATURES_OF).write_text(published_version(layout.bundles))
    return done


def features_are_of(layout: Layout) -> str:
    """Version of the bundle whose offline features lie there; "" if none do."""
    try:
        return (layout.offline / _FEATURES_OF).read_text()
    except FileNotFoundError:
        return ""


def load_store(steps: Steps, layout: Layout, url: str) -> None:
    """Write registry and plan; load the offline features, unless this store has been given them before."""
    environment = {REDIS_VARIABLE: url}  # not an argument: everybody may read those
    steps.run(
        "apply", "-m", "feature_repo", "apply", "--offline", layout.offline, "--plan", layout.plan,
        environment=environment,
    )  # fmt: skip
    version = features_are_of(layout)
    if not version or loaded_version(url) == version:
        return
    steps.run("materialize", "-m", "feature_repo", "materialize", "--offline", layout.offline, environment=environment)
    with redis.Redis.from_url(url) as client:
        client.set(_LOADED, version)


def loaded_version(url: str) -> str:
    """Version of the bundle whose features this store was given; "" if none."""
    with redis.Redis.from_url(url) as client:
        found = client.get(_LOADED)
    return found.decode() if isinstance(found, bytes) else ""


def published_version(bundles: Path) -> str:
    """Of the published bundle. Raises ConfigError if there is none."""
    folder = current(bundles)
    if folder is None:
        raise ConfigError(f"{bundles} publishes no bundle: give --data, or train one with `python -m training fit`")
    return read_manifest(folder).version


def protocol_of(bundles: Path) -> str:
    """What the published bundle held out: time-split, leave-one-out or none."""
    folder = current(bundles)
    assert folder is not None
    return str(read_manifest(folder).recipe.get("protocol", "none"))
