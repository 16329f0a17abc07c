"""Which items a bundle holds, and what is said of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from penchant.content import content_vectors, tokens
from penchant.features import FeatureSchema
from penchant.ids import keys
from penchant.item_table import ItemTable
from penchant.leaves import Condition
from training.catalogue import build_catalogue, item_features
from training.data.dataset import Attributes, Dataset, EventTable

SECOND = 1_000_000


def shop() -> Dataset:
    events = EventTable(
        np.array([0, 0, 1, 1], np.int32), np.array([0, 1, 1, 3], np.int32), np.array([1, 2, 3, 9]) * SECOND,
        np.zeros(4, np.int8), np.full(4, np.nan, np.float32), np.arange(4, dtype=np.int64),
    )  # fmt: skip
    items = Attributes(
        categorical={"colour": ["red", "", "blue", "", "red"]},
        multi={"genre": [("a", "b"), ("b",), (), (), ()]},
        numeric={"price": np.array([1, np.nan, 3, np.nan, np.nan], np.float32)},
        text={"title": ["Red hat", "", "", "", ""]},
    )
    return Dataset(
        "shop", ["u", "v"], ["hat", "coat", "sock", "late", "new"], ["click"], events, items, Attributes(), True, {},
        {}, Path("."), np.array([0, 0, 0, 0, 99]) * SECOND,
    )  # fmt: skip


def test_a_bundle_holds_what_was_seen_or_described_before_the_cut_and_nothing_of_later() -> None:
    catalogue = build_catalogue(shop(), np.arange(3), 5 * SECOND)
    assert sorted(catalogue.ids[1:]) == ["coat", "hat", "sock"]
    assert catalogue.keys[0] == 0
    assert (np.diff(catalogue.keys[1:]) > 0).all()
    assert catalogue.keys[1:].tolist() == keys("", catalogue.ids[1:]).tolist()
    rows = catalogue.rows(np.array([0, 1, 2, 3, 4, -1]))
    assert (rows[3:] == 0).all()
    assert [catalogue.ids[r] for r in rows[:3]] == ["hat", "coat", "sock"]
    assert catalogue.created[rows[:3]].tolist() == [1 * SECOND, 2 * SECOND, 0]


def test_the_table_filters_by_what_the_item_file_says_and_content_is_the_servings() -> None:
    catalogue = build_catalogue(shop(), np.arange(3), 5 * SECOND)
    table = catalogue.table(np.zeros((4, 2), np.float32), np.zeros((4, 1), np.float32))
    assert isinstance(table, ItemTable)

    def found(condition: Condition) -> list[str]:
        return [table.ids[r] for r in np.flatnonzero(table.allowed([condition]))]

    assert found(Condition("colour", ("red",))) == ["hat"]
    assert sorted(found(Condition("genre", ("b",)))) == ["coat", "hat"]
    assert found(Condition("price", minimum=2.0)) == ["sock"]
    hat = catalogue.ids.index("hat")
    wanted = content_vectors([tokens(["Red hat"], {"colour": ("red",), "genre": ("a", "b")})])[0]
    np.testing.assert_array_equal(catalogue.content[hat], wanted)


def test_item_features_are_a_replay_of_the_allowed_events() -> None:
    dataset = shop()
    catalogue = build_catalogue(dataset, np.arange(3), 5 * SECOND)
    schema = FeatureSchema.default(has_times=True, has_values=False, item_attributes={}, user_attributes={})
    features = item_features(dataset, catalogue, np.arange(3), schema, 5 * SECOND)
    assert features.shape == (4, len(schema.item_dense_names))
    events = features[:, schema.item_dense_names.index("events")]
    row = {name: i for i, name in enumerate(catalogue.ids)}
    np.testing.assert_allclose(events[[0, row["hat"], row["coat"], row["sock"]]], np.log1p([0, 1, 2, 0]), rtol=1e-6)
    assert np.array_equal(item_features(replace(dataset), catalogue, np.arange(3), schema, 5 * SECOND), features)
