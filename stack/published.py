"""What is published: whole, and trained on what was asked for; else a sentence that says what to do."""

import json
from pathlib import Path

from penchant.bundle import Manifest, current, read_manifest, verify
from penchant.errors import BundleMismatch, ConfigError
from stack.layout import Layout

_TRAINED = "trained.json"
"""File of the run folder: which bundle `up` trained there, and from which data folder."""


def remember(layout: Layout, data: Path) -> None:
    """Note what the published bundle was trained on."""
    bundle = current(layout.bundles)
    assert bundle is not None
    (layout.run / _TRAINED).write_text(json.dumps({"bundle": bundle.name, "data": str(data.resolve())}))


def require_whole(bundles: Path) -> None:
    """Raises BundleMismatch with the remedy if the published bundle is missing or damaged."""
    bundle = current(bundles)
    if bundle is None:
        return
    try:
        verify(bundle)
    except BundleMismatch as error:
        raise BundleMismatch(f'{error}; or train another one: make up DATA=folder ARGS="--retrain"') from None


def require_asked_for(layout: Layout, data: Path | None, recipe: str | None) -> None:
    """Raises ConfigError if a bundle is published that was trained on other data, or by another recipe, than named."""
    bundle = current(layout.bundles)
    if bundle is None:
        return
    manifest = read_manifest(bundle)
    if data is not None and (trained_on := _other_data(layout, manifest, data)):
        raise ConfigError(
            f"{layout.bundles} publishes a bundle trained on {trained_on}, not on {data}: leave DATA out to serve it, "
            'keep both apart with ARGS="--run FOLDER" (after `make down`, or with another --port), or train on the '
            'data named with ARGS="--retrain"'
        )
    used = str(manifest.recipe.get("name", ""))
    if recipe is not None and used and recipe != used:
        raise ConfigError(
            f"{layout.bundles} publishes a bundle of recipe {used!r}, not {recipe!r}: leave --recipe out to serve it, "
            "or say --retrain"
        )


def _other_data(layout: Layout, manifest: Manifest, data: Path) -> str:
    """What the bundle was trained on where that is not this data; "" where it is."""
    from training.data.read import dataset_name

    name = dataset_name(data)
    if name != manifest.dataset:
        return f"{manifest.dataset!r}"
    try:
        trained = json.loads((layout.run / _TRAINED).read_text())
    except FileNotFoundError:
        return ""
    if trained["bundle"] == manifest.version and trained["data"] != str(data.resolve()):
        return f"{trained['data']}"
    return ""
