"""A bundle's item tower: from what is written of an item to where it stands among the others."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penchant.bundle import Manifest
from penchant.content import CONTENT_DIM
from penchant.item_reader import ItemReader
from penchant.item_table import Embed, ItemChange
from penchant.sessions import open_session
from penchant.types import Matrix


def tower_width(folder: Path) -> int:
    """Numbers of an item that the tower reads."""
    reader = ItemReader.open(folder)
    return CONTENT_DIM if reader is None else reader.width


def open_item_tower(folder: Path, manifest: Manifest) -> Embed:
    """Of a verified bundle; without one every embedding is zeros. It holds nothing but the tower and its reader.

    Raises BundleMismatch where the tower does not answer as it did at export.
    """
    if "item_tower" not in manifest.models:
        return lambda changes, content: np.zeros((len(content), manifest.embedding_dim), np.float32)
    spec = manifest.models["item_tower"]
    reader = ItemReader.open(folder)
    session = open_session(folder, spec)
    name = spec.inputs[0].name

    def embed(changes: Sequence[ItemChange], content: Matrix) -> Matrix:
        if reader is not None:
            content = reader.vectors(change.attributes for change in changes)
        return session({name: np.ascontiguousarray(content, np.float32)})

    return embed
