"""The items of a bundle: which there are, their rows, and what is known of them without any model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.content import CONTENT_DIM, content_vectors, tokens
from penchant.features import FeatureSchema, ItemFeatures
from penchant.ids import keys
from penchant.item_reader import ItemReader
from penchant.item_table import ItemTable, TagColumn
from penchant.types import Keys, Matrix, Times, Vector
from training.data.dataset import Attributes, Dataset
from training.evaluation.protocol import TENANT, event_columns


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Rows 0..N of a bundle: row 0 is unknown, rows 1..N are its items in ascending key order."""

    keys: Keys
    """[N+1]; 0 first."""
    ids: list[str]
    row_of_item: NDArray[np.int64]
    """[dataset items + 1]: the row of each dataset item, 0 if the bundle has none; the last place answers index -1."""
    content: Matrix
    """[N+1, CONTENT_DIM]; zeros where nothing is known."""
    tags: Mapping[str, TagColumn]
    numeric: Mapping[str, Vector]
    created: Times
    """[N+1] UTC microseconds: creation where the data set tells it, else the first event seen, else 0."""
    texts: tuple[str, ...]
    """Names of the attributes whose words are content."""
    reader: ItemReader
    """Of texts, tags and numbers."""
    attributes: Attributes
    """The data set's."""
    item_of_row: NDArray[np.int64]
    """[N+1]: the dataset item of each row; -1 first."""

    @property
    def count(self) -> int:
        """N."""
        return len(self.keys) - 1

    def rows(self, items: NDArray[np.integer]) -> NDArray[np.int64]:
        """Rows of dataset item indices; 0 for an item the bundle has not, and for -1."""
        return np.asarray(self.row_of_item[items], np.int64)

    def written(self, rows: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
        """Attributes of rows 1..N, as they would be written to the running service."""
        return attributes_of(self.attributes, self.item_of_row[rows])

    def table(self, embeddings: Matrix, features: Matrix) -> ItemTable:
        """The item table, with embeddings [N+1, D] and dense item features [N+1, Fi]."""
        return ItemTable(
            self.keys, self.ids, embeddings, features, self.content, self.created, self.tags, self.numeric, self.texts
        )  # fmt: skip


def build_catalogue(dataset: Dataset, before: NDArray[np.int64], cut_us: int) -> Catalogue:
    """Every item with an event among `before`, and every described one not known to be created after the cut.

    before: indices of the events the bundle may see.
    """
    events = dataset.events
    items = events.items[before]
    seen = np.zeros(len(dataset.item_ids), np.bool_)
    seen[items[items >= 0]] = True
    described = _described(dataset)
    if dataset.created_us is not None:
        described &= dataset.created_us <= cut_us
    chosen = np.flatnonzero(seen | described)
    item_keys = keys(TENANT, [dataset.item_ids[i] for i in chosen])
    chosen = chosen[np.argsort(item_keys, kind="stable")]
    row_of_item = np.zeros(len(dataset.item_ids) + 1, np.int64)
    row_of_item[chosen] = np.arange(1, len(chosen) + 1)
    tags = {
        name: _tag_column([() if i < 0 else values[i] for i in (-1, *chosen.tolist())])
        for name, values in _tag_values(dataset).items()
    }
    numeric = {
        name: np.concatenate([[np.nan], values[chosen]]).astype(np.float32)
        for name, values in dataset.items.numeric.items()
    }
    return Catalogue(
        np.concatenate([[0], np.sort(item_keys)]),
        ["", *(dataset.item_ids[i] for i in chosen)],
        row_of_item,
        np.concatenate([np.zeros((1, CONTENT_DIM), np.float32), content_vectors(tokens_of(dataset, chosen))]),
        tags,
        numeric,
        _created(dataset, before, chosen, row_of_item),
        tuple(dataset.items.text),
        reader_of(dataset, chosen),
        dataset.items,
        np.concatenate([[-1], chosen]).astype(np.int64),
    )


def reader_of(dataset: Dataset, items: NDArray[np.int64]) -> ItemReader:
    """Reads every text, tag and number that the data set has of items; scales are these items'."""
    has = dataset.items
    return ItemReader.of(has.text, [*has.categorical, *has.multi], {n: v[items] for n, v in has.numeric.items()})


def attributes_of(attributes: Attributes, items: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    """Of dataset items, as they would be written to the running service."""
    columns: dict[str, Any] = {
        **attributes.text, **attributes.categorical, **attributes.multi, **attributes.numeric,
        **attributes.image, **attributes.audio,
    }  # fmt: skip
    for i in items.tolist():
        yield {name: column[i] for name, column in columns.items()}


def item_features(
    dataset: Dataset, catalogue: Catalogue, before: NDArray[np.int64], schema: FeatureSchema, as_of_us: int
) -> Matrix:
    """Dense item features float32 [N+1, Fi] of the events `before`, aged to as_of_us; row 0 is an item without any."""
    columns = event_columns(dataset)
    rows = catalogue.rows(dataset.events.items[before])
    known = rows > 0
    index = before[known]
    features = ItemFeatures.empty(schema, catalogue.count + 1)
    features.apply_many(rows[known], columns.types[index], columns.values[index], columns.times[index])
    return features.dense(as_of_us)


def _tag_values(dataset: Dataset) -> dict[str, list[tuple[str, ...]]]:
    """Categorical and multi-valued attributes alike, as tuples of tags by item."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for name, values in dataset.items.categorical.items():
        found[name] = [(value,) if value else () for value in values]
    return {**found, **dataset.items.multi}


def _described(dataset: Dataset) -> NDArray[np.bool_]:
    """Items of which the item file says anything."""
    items = dataset.items
    known = np.zeros(len(dataset.item_ids), np.bool_)
    columns: list[Sequence[object]] = list(items.multi.values())
    for texts in (items.categorical, items.text, items.image, items.audio):
        columns.extend(texts.values())
    for column in columns:
        known |= np.array([bool(value) for value in column], np.bool_)
    for numbers in items.numeric.values():
        known |= ~np.isnan(numbers)
    return known


def _tag_column(values: list[tuple[str, ...]]) -> TagColumn:
    vocabulary = sorted({tag for tags in values for tag in tags})
    code = {tag: i for i, tag in enumerate(vocabulary)}
    lengths = np.array([len(tags) for tags in values], np.int64)
    codes = np.array([code[tag] for tags in values for tag in tags], np.uint32)
    return TagColumn(tuple(vocabulary), np.concatenate([[0], np.cumsum(lengths)]), codes)


def tokens_of(dataset: Dataset, items: NDArray[np.int64]) -> list[list[str]]:
    """Tokens of dataset items: the words of their texts and their tags."""
    texts = dataset.items.text.values()
    tags = _tag_values(dataset)
    return [
        tokens([column[i] for column in texts], {name: values[i] for name, values in tags.items()})
        for i in items.tolist()
    ]


def _created(
    dataset: Dataset, before: NDArray[np.int64], chosen: NDArray[np.int64], row_of_item: NDArray[np.int64]
) -> Times:
    never = np.iinfo(np.int64).max
    first = np.full(len(chosen) + 1, never)
    np.minimum.at(first, row_of_item[dataset.events.items[before]], dataset.events.times[before])
    created = np.where(first == never, 0, first)
    if dataset.created_us is not None:
        told = dataset.created_us[chosen]
        created[1:] = np.where(told > 0, told, created[1:])
    created[0] = 0
    return created.astype(np.int64)
