"""Encoders of a data set's media, trained towards the vectors that training gave its items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.bundle import ModelSpec
from penchant.errors import ConfigError
from penchant.item_media import INPUT, encoded, raw_of, said_of, write_encoders
from penchant.item_reader import ItemReader
from penchant.types import Matrix, Vector
from training.catalogue import Catalogue
from training.content.encoders import ENCODERS
from training.content.encoders.fit import Averaged, Progress, fit_network, predicted
from training.content.item_map import met
from training.data.dataset import Attributes
from training.data.media_files import read_files
from training.export import export_model

LEAST = 20
"""Items with a medium that it takes to train an encoder of it."""
_GOLDEN = 4


@dataclass(frozen=True, slots=True)
class TrainedEncoder:
    """A penchant.item_reader.ItemEncoder as training uses it, which reads files by their paths.

    Of an item that it was trained on it says what it would say without that item, so that what is fitted to it trusts
    it as far as it can be trusted.
    """

    name: str
    medium: str
    attributes: tuple[str, ...]
    width: int
    network: Averaged
    said: dict[str, Vector]
    """What it said before, by what an item has of the medium."""
    golden: NDArray[Any]
    """Raw input of a few items."""

    def vectors(self, items: Sequence[Mapping[str, Any]]) -> Matrix:
        """[N, W]; zeros for an item that has no such medium."""
        has = [said_of(self.medium, self.attributes, item) for item in items]
        new = [one for one in dict.fromkeys(has) if one and one not in self.said]
        if new:
            found = encoded(_raw(self.medium, new, new), self.width, lambda raw: predicted(self.network, raw))
            self.said.update(zip(new, found, strict=True))
        vectors = np.zeros((len(items), self.width), np.float32)
        for i, one in enumerate(has):
            if one:
                vectors[i] = self.said[one]
        return vectors

    def write(self, folder: Path, file: str) -> ModelSpec:
        """Export the network. Raises BundleMismatch where the export says something else."""
        feeds = [{INPUT: self.golden}, {INPUT: self.golden[:1]}]
        return export_model(self.network, feeds, {INPUT: "batch"}, "vector", folder, file)


def with_encoders(
    catalogue: Catalogue,
    names: Sequence[str],
    embeddings_ND: Matrix,
    counts_N: NDArray[np.int64],
    shown: int,
    progress: Progress = lambda done: None,
) -> ItemReader:
    """The catalogue's reader with encoders trained on the items people met, counts_N times each, [N+1] with row 0."""
    rows, weights = met(counts_N)
    items = list(catalogue.written(rows))
    ids = [catalogue.ids[row] for row in rows.tolist()]
    kinds = catalogue.attributes
    encoders = fit_encoders(names, kinds, items, ids, embeddings_ND[rows], weights, shown, progress)
    return replace(catalogue.reader, encoders=encoders)


def fit_encoders(
    names: Sequence[str],
    kinds: Attributes,
    items: Sequence[Mapping[str, Any]],
    ids: Sequence[str],
    targets: Matrix,
    weights: NDArray[np.floating],
    shown: int,
    progress: Progress = lambda done: None,
) -> tuple[TrainedEncoder, ...]:
    """The encoders of these names for all media that the items have; none of one that fewer than LEAST of them have.

    kinds: says which attribute is of which kind. items, ids, targets [n, D], weights [n]: what the items are, and where
    training put them. Raises ConfigError for an unknown name.
    """
    wanted = [one for name in names for one in _media(name, kinds)]

    def told(i: int) -> Progress:
        return lambda done: progress((i + done) / len(wanted))

    found = []
    for i, (name, medium, attributes) in enumerate(wanted):
        has = [said_of(medium, attributes, item) for item in items]
        there = [place for place, one in enumerate(has) if one]
        raw = _raw(medium, [has[place] for place in there], [ids[place] for place in there])
        there = [place for place, one in zip(there, raw, strict=True) if one is not None]
        if len(there) < LEAST:
            continue
        stacked = np.stack([one for one in raw if one is not None])
        network, held_out = fit_network(
            name, stacked, targets[there], weights[there], shown=shown,
            progress=told(i),
        )  # fmt: skip
        said = {one: np.zeros(targets.shape[1], np.float32) for one in has if one}
        said |= {has[place]: vector for place, vector in zip(there, held_out, strict=True)}
        called = f"{name}:{'+'.join(attributes)}"
        found.append(TrainedEncoder(called, medium, attributes, targets.shape[1], network, said, stacked[:_GOLDEN]))
    return tuple(found)


def write_encoders_of(reader: ItemReader, folder: Path) -> None:
    """Write a reader's encoders below a bundle folder, as open_encoders reads them. Raises BundleMismatch."""
    encoders = [encoder for encoder in reader.encoders if isinstance(encoder, TrainedEncoder)]
    specs = [encoder.write(folder, f"retrieval/encoder_{i}.onnx") for i, encoder in enumerate(encoders)]
    write_encoders(folder, [(e.name, e.medium, e.attributes, spec) for e, spec in zip(encoders, specs, strict=True)])


def _media(name: str, kinds: Attributes) -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, medium and attributes of the encoders to train: one a file's attribute, one for all texts together."""
    if name not in ENCODERS:
        raise ConfigError(f"unknown encoder {name!r} of media: known are {', '.join(sorted(ENCODERS))}")
    medium = ENCODERS[name].medium
    if medium == "words":
        return [(name, medium, tuple(kinds.text))] if kinds.text else []
    columns = kinds.image if medium == "picture" else kinds.audio
    return [(name, medium, (column,)) for column in columns]


def _raw(medium: str, has: Sequence[str], ids: Sequence[str]) -> list[NDArray[Any] | None]:
    if medium == "words":
        return [raw_of(medium, one) for one in has]
    return list(read_files(medium, has, ids))
