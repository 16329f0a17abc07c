"""The bundle: one immutable folder of models, index, id maps and schema, published by an atomic pointer.

<bundles>/CURRENT                     name of the published bundle folder, one line
<bundles>/<version>/manifest.json     this module's Manifest
<bundles>/<version>/...               the files that manifest.files lists, each with sha256
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from penchant.errors import BundleMismatch

FORMAT = 1
POINTER = "CURRENT"
MANIFEST = "manifest.json"
MAX_NAME_BYTES = 255
_NAME_ONE = "write the name of a folder beside it there, or publish a bundle"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One ONNX input or output; a dimension of -1 is free."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """An ONNX file of the bundle and what it must look like."""

    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    golden: str
    """npz in the bundle: arrays "in:<name>" and "out:<name>"; outputs must match at load."""
    tolerance: float = 1e-4
    """To so much, relative above 1 and absolute below; a graph of whole numbers states more."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says of itself."""

    version: str
    format: int
    created: str
    """UTC, ISO 8601."""
    dataset: str
    recipe: dict[str, Any]
    seed: int
    cut_us: int
    """Training saw events up to here."""
    item_count: int
    """N; rows 1..N."""
    embedding_dim: int
    history_length: int
    """L of the models' history inputs."""
    schema_fingerprint: str
    schema: dict[str, Any]
    """FeatureSchema.to_json()."""
    retrieval: dict[str, Any]
    """Blend weights and source quotas: penchant.retrieval.RetrievalSettings as a dict."""
    tasks: tuple[str, ...]
    task_weights: dict[str, float]
    """How task scores add up to the slate score; chosen on validation."""
    models: dict[str, ModelSpec]
    """By name: user_tower, item_tower, ranker, trees."""
    files: dict[str, str]
    """Relative path to sha256, every file but the manifest."""
    metrics: dict[str, Any] = field(default_factory=dict)
    reference: dict[str, Any] = field(default_factory=dict)
    """How features, items and scores were spread when it was made: what drift is measured against."""
    new_lift: float = 0.0
    """Added to the slate score of items newer than the bundle: a ranker has learnt nothing of what being new means.
    Chosen on validation; negative where it takes them for too good."""
    lineage: dict[str, Any] = field(default_factory=dict)
    """Of a bundle that was learned from another: "from", the log "position" that was learned, "update"; else empty."""


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json, last of all files."""
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1, sort_keys=True))


def file_checksums(folder: Path) -> dict[str, str]:
    """sha256 of every file below the folder but the manifest, by relative path."""
    return {
        str(path.relative_to(folder)): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


def _model(raw: dict[str, Any]) -> ModelSpec:
    def specs(rows: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(r["name"], r["dtype"], tuple(r["shape"])) for r in rows)

    return ModelSpec(
        raw["file"], specs(raw["inputs"]), specs(raw["outputs"]), raw["golden"], raw.get("tolerance", 1e-4)
    )


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle folder. Raises BundleMismatch if it is missing, broken or of another format."""
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        raise BundleMismatch(f"{path} is missing: publish a bundle with `python -m training fit`") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleMismatch(f"{path} is no JSON ({error}): publish the bundle again") from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        found = raw.get("format") if isinstance(raw, dict) else None
        raise BundleMismatch(f"{path} has format {found}, this program reads {FORMAT}: train and publish again")
    try:
        raw["models"] = {name: _model(model) for name, model in raw["models"].items()}
        raw["tasks"] = tuple(raw["tasks"])
        return Manifest(**raw)
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleMismatch(f"{path} does not hold what a manifest must ({error}): publish the bundle again") from None


def verify(folder: Path) -> Manifest:
    """Read the manifest and check every file's sha256. Raises BundleMismatch naming the file and the remedy."""
    manifest = read_manifest(folder)
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BundleMismatch(f"bundle {manifest.version}: {name} lies outside its folder: publish the bundle again")
        if not path.is_file():
            raise BundleMismatch(f"bundle {manifest.version}: {name} is missing: copy the bundle again")
        if (found := sha256(path)) != expected:
            raise BundleMismatch(
                f"bundle {manifest.version}: {name} has sha256 {found[:12]}, the manifest says {expected[:12]}: "
                "copy the bundle again"
            )
    return manifest


def publish(bundles: Path, version: str) -> None:
    """Point CURRENT at a bundle: atomic, so a reader sees the old or the new one."""
    temporary = bundles / f".{POINTER}.{os.getpid()}"
    with temporary.open("w") as file:
        file.write(version + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(bundles / POINTER)


def current(bundles: Path) -> Path | None:
    """Folder of the published bundle; None before the first.

    Raises BundleMismatch for a pointer that is empty, or names anything but an entry of `bundles`.
    """
    pointer = bundles / POINTER
    try:
        version = pointer.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise BundleMismatch(f"{pointer} is no text ({error.reason}): {_NAME_ONE}") from None
    if not version:
        raise BundleMismatch(f"{pointer} is empty: {_NAME_ONE}")
    if version in (".", "..") or "/" in version or not version.isprintable() or len(version.encode()) > MAX_NAME_BYTES:
        raise BundleMismatch(f"{pointer} says {version[:80]!r}, which names no bundle folder here: {_NAME_ONE}")
    return bundles / version
