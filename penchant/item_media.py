"""Blocks of content that a bundle's own encoders make of an item's pictures, sounds and texts."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.bundle import ModelSpec, TensorSpec
from penchant.content import tag_values
from penchant.media import PICTURE, SOUND, WORDS, unpacked, word_numbers
from penchant.sessions import Session, open_session
from penchant.types import Matrix

FILE = "retrieval/item_media.json"
INPUT = "raw"
SHAPES: Mapping[str, tuple[int, ...]] = {"picture": PICTURE, "sound": SOUND, "words": (WORDS,)}
"""Raw input of one item by medium: uint8 of files, int64 of words."""


def said_of(medium: str, attributes: Sequence[str], item: Mapping[str, Any]) -> str:
    """What an item has of a medium: the first file that is given, or its texts, a line each; "" for nothing."""
    if medium == "words":
        return "\n".join(text for name in attributes for text in tag_values(item.get(name)))
    given = (item.get(name) for name in attributes)
    return next((value for value in given if isinstance(value, str) and value), "")


def raw_of(medium: str, said: str) -> NDArray[Any] | None:
    """Raw input for a network; None for nothing, and for what is no such medium."""
    if medium == "words":
        numbers = word_numbers([said])
        return numbers if numbers.any() else None
    return unpacked(said, SHAPES[medium])


@dataclass(frozen=True, slots=True)
class ServedEncoder:
    """A penchant.item_reader.ItemEncoder out of a bundle."""

    name: str
    width: int
    medium: str
    attributes: tuple[str, ...]
    session: Session

    def vectors(self, items: Sequence[Mapping[str, Any]]) -> Matrix:
        """[N, W]; zeros for an item that has no such medium."""
        return encoded(
            [raw_of(self.medium, said_of(self.medium, self.attributes, item)) for item in items], self.width,
            lambda raw: self.session({INPUT: raw}),
        )  # fmt: skip


def encoded(raw: Sequence[NDArray[Any] | None], width: int, run: Callable[[NDArray[Any]], Matrix]) -> Matrix:
    """[N, W] of N raw inputs, zeros for None."""
    vectors = np.zeros((len(raw), width), np.float32)
    there = [i for i, one in enumerate(raw) if one is not None]
    if there:
        vectors[there] = run(np.stack([one for one in raw if one is not None]))
    return vectors


def write_encoders(folder: Path, encoders: Sequence[tuple[str, str, Sequence[str], ModelSpec]]) -> None:
    """What open_encoders reads, beside the models' own files: name, medium, attributes and model of each."""
    described = [
        {
            "name": name, "medium": medium, "attributes": list(attributes), "file": spec.file, "golden": spec.golden,
            "width": spec.outputs[0].shape[-1],
        }
        for name, medium, attributes, spec in encoders
    ]  # fmt: skip
    (folder / FILE).write_text(json.dumps(described))


def open_encoders(folder: Path) -> tuple[ServedEncoder, ...]:
    """A bundle folder's encoders; none in one without. Raises BundleMismatch where one is not what was exported."""
    path = folder / FILE
    described = json.loads(path.read_text()) if path.exists() else []
    return tuple(
        ServedEncoder(
            one["name"], one["width"], one["medium"], tuple(one["attributes"]), open_session(folder, _spec(one))
        )
        for one in described
    )


def model_spec(medium: str, file: str, width: int, golden: str = "") -> ModelSpec:
    """What the model of an encoder looks like."""
    dtype = "int64" if medium == "words" else "uint8"
    raw = TensorSpec(INPUT, dtype, (-1, *SHAPES[medium]))
    return ModelSpec(file, (raw,), (TensorSpec("vector", "float32", (-1, width)),), golden)


def _spec(one: Mapping[str, Any]) -> ModelSpec:
    return model_spec(one["medium"], one["file"], one["width"], one["golden"])
