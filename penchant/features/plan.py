"""The serving plan: what a Feast registry says, compiled to the bytes that the online store is read and written with.

plan.json is written by feature_repo's apply step, the only place that reads the registry; servers load it.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from penchant.errors import ConfigError

FORMAT = 1
SCALARS = ("int32", "int64", "float32", "float64", "bool", "string", "bytes", "unix_timestamp")
DTYPES = (*SCALARS, *(f"{name}[]" for name in SCALARS))
"""Feature types that can be served; unix_timestamp is in seconds, as Feast has it."""
_STRING, _INT64 = 2, 4


@dataclass(frozen=True, slots=True)
class PlannedFeature:
    """One feature: its type and the hash field that holds it, as hex."""

    view: str
    name: str
    dtype: str
    field: str

    @property
    def full_name(self) -> str:
        """Such as "user_sequences:history_keys"."""
        return f"{self.view}:{self.name}"

    @property
    def field_bytes(self) -> bytes:
        """The hash field."""
        return bytes.fromhex(self.field)


@dataclass(frozen=True, slots=True)
class PlannedView:
    """One feature view of one entity. timestamp_field holds the time its values are as of; ttl_s 0 never ages out."""

    name: str
    entity: str
    join_key: str
    ttl_s: float
    timestamp_field: str
    features: tuple[PlannedFeature, ...]

    @property
    def key_prefix(self) -> bytes:
        """What comes before the int64 join key's eight bytes: Feast's entity key, version 3."""
        name = self.join_key.encode()
        return struct.pack("<III", 1, _STRING, len(name)) + name + struct.pack("<II", _INT64, 8)


@dataclass(frozen=True)
class Plan:
    """Everything a server needs to know of a Feast repository; skipped says why views are left out, by name."""

    project: str
    registry_sha256: str
    views: dict[str, PlannedView]
    services: dict[str, tuple[str, ...]]
    """Feature names "view:feature" of each feature service, in order."""
    skipped: dict[str, str]

    @cached_property
    def features(self) -> dict[str, PlannedFeature]:
        """By "view:feature"."""
        return {f.full_name: f for view in self.views.values() for f in view.features}

    def write(self, path: Path) -> None:
        """Write plan.json, replacing an older one at once."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n")
        temporary.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Plan":
        """Read plan.json. Raises ConfigError with the remedy."""
        remedy = "write it with `python -m feature_repo apply`"
        try:
            raw = json.loads(path.read_text())
        except FileNotFoundError:
            raise ConfigError(f"{path} is missing: {remedy}") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is no JSON ({error}): {remedy}") from None
        if not isinstance(raw, dict) or raw.pop("format", None) != FORMAT:
            raise ConfigError(f"{path} is no plan of format {FORMAT}: {remedy}")
        try:
            views = {name: _view(view) for name, view in raw["views"].items()}
            services = {name: tuple(features) for name, features in raw["services"].items()}
            return cls(raw["project"], raw["registry_sha256"], views, services, raw["skipped"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} does not hold what a plan must ({error!r}): {remedy}") from None


def _view(raw: Mapping[str, Any]) -> PlannedView:
    features = tuple(PlannedFeature(**feature) for feature in raw["features"])
    for feature in features:
        if feature.dtype not in DTYPES:
            raise TypeError(f"unknown dtype {feature.dtype!r} of {feature.full_name}")
    return PlannedView(**{**raw, "features": features})
