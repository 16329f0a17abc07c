"""The item table against a model of it: whatever is written, in whatever order, rows tell the newest of each item."""

import csv
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import InvalidArgument
from penchant.ids import key as key_of
from penchant.item_table import ItemChange, ItemTable, TagColumn
from penchant.leaves import Condition

BUNDLED = 6
ITEM_KEYS = (10, 20, 30, 40, 50, 60)
TAGS = {"genre": [["drama"], ["crime", "drama"], [], ["comedy"], ["crime"], ["drama"]]}
PRICES = [1.0, 2.0, float("nan"), 4.0, 5.0, 6.0]


def tag_column(rows: list[list[str]]) -> TagColumn:
    vocabulary = sorted({tag for tags in rows for tag in tags})
    codes = [vocabulary.index(tag) for tags in rows for tag in tags]
    indptr = np.concatenate([[0, 0], np.cumsum([len(tags) for tags in rows])])
    return TagColumn(tuple(vocabulary), indptr.astype(np.int64), np.array(codes, np.uint32))


def built() -> ItemTable:
    rng = np.random.default_rng(3)
    return ItemTable(
        np.array([0, *ITEM_KEYS]), ["", *(f"id{k}" for k in ITEM_KEYS)],
        rng.random((BUNDLED + 1, 3), np.float32), rng.random((BUNDLED + 1, 2), np.float32),
        rng.random((BUNDLED + 1, 4), np.float32), np.arange(BUNDLED + 1), {"genre": tag_column(TAGS["genre"])},
        {"price": np.array([np.nan, *PRICES], np.float32)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("table")
    built().write(where)
    return where


def embed(changes: Sequence[ItemChange], content: np.ndarray) -> np.ndarray:
    return content[:, :3] * 2


VALUES = st.one_of(
    st.sampled_from(["drama", "crime", "new", ""]), st.lists(st.sampled_from(["drama", "new", "newer"]), max_size=3),
    st.floats(-5, 5), st.none(),
)  # fmt: skip
CHANGES = st.builds(
    ItemChange, position=st.just(0), item_key=st.sampled_from([*ITEM_KEYS, 15, 35, 70, -5]), item_id=st.just(""),
    deleted=st.booleans(), available=st.booleans(), created_us=st.integers(0, 5),
    attributes=st.dictionaries(st.sampled_from(["genre", "price", "title"]), VALUES, max_size=2),
)  # fmt: skip


def numbered(batches: list[list[ItemChange]]) -> list[list[ItemChange]]:
    position = 0
    out = []
    for batch in batches:
        out.append([])
        for change in batch:
            position += 1
            out[-1].append(replace(change, position=position, item_id=f"id{change.item_key}"))
    return out


def content_of(change: ItemChange) -> np.ndarray:
    return np.full(4, change.position, np.float32)


def tags_expected(value: Any) -> set[str]:
    values = value if isinstance(value, list) else [value]
    return {f"{v:g}" if isinstance(v, float) else str(v) for v in values if v is not None and v != ""}


def price_expected(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def check(table: ItemTable, newest: dict[int, ItemChange]) -> None:
    every = sorted({*ITEM_KEYS, *newest})
    rows = dict(zip(every, table.rows_of(np.array(every)).tolist(), strict=True))
    for key in ITEM_KEYS:
        assert rows[key] == ITEM_KEYS.index(key) + 1
    known = [key for key in every if rows[key]]
    assert len({rows[key] for key in known}) == len(known) == table.row_count - 1
    assert table.keys_of(np.array([rows[k] for k in known], np.uint32)).tolist() == known
    allowed = table.allowed()
    assert len(allowed) == table.row_count
    assert not allowed[0]
    by_tag = {
        tag: table.allowed((Condition("genre", any_of=(tag,)),)) for tag in ("drama", "crime", "comedy", "new", "newer")
    }
    for key in every:
        change, row = newest.get(key), rows[key]
        if row == 0:
            assert change is not None
            assert change.deleted
            continue
        assert table.ids[row] == f"id{key}"
        assert allowed[row] == (change is None or (change.available and not change.deleted))
        bundled = key in ITEM_KEYS
        place = ITEM_KEYS.index(key) if bundled else -1
        attributes = change.attributes if change else {}
        price = price_expected(attributes["price"]) if "price" in attributes else PRICES[place] if bundled else np.nan
        assert np.array_equal(table.numeric["price"][row], np.float32(price), equal_nan=True)
        own = set(TAGS["genre"][place]) if bundled else set()
        tags = tags_expected(attributes["genre"]) if "genre" in attributes else own
        assert set(table.tags["genre"].values_of(row)) == tags
        for tag, mask in by_tag.items():
            assert mask[row] == (allowed[row] and tag in tags)
        if not bundled:
            assert change is not None
            if not change.deleted:
                assert np.array_equal(table.content[row], content_of(change))
                assert np.array_equal(table.embeddings[row], embed([change], content_of(change)[None])[0])
            assert np.array_equal(table.features[row], table.features[0])
            assert table.created[row] == change.created_us
    delta = [key for key in known if key not in ITEM_KEYS]
    newest_first = sorted(delta, key=lambda k: (-newest[k].created_us, k))
    assert table.keys_of(table.newest_rows.astype(np.uint32)).tolist() == newest_first


def applied(table: ItemTable, batch: list[ItemChange]) -> None:
    table.apply(batch, np.stack([content_of(c) for c in batch]) if batch else None, embed)


@settings(max_examples=120, deadline=None)
@given(batches=st.lists(st.lists(CHANGES, max_size=6), max_size=6))
def test_rows_tell_the_newest_of_each_item_and_views_stand_still(batches: list[list[ItemChange]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        built().write(Path(name))
        table = ItemTable.open(Path(name))
        newest: dict[int, ItemChange] = {}
        views = []
        for batch in numbered(batches):
            applied(table, batch)
            newest.update({change.item_key: change for change in batch})
            views.append((table.view(), dict(newest)))
            if batch:
                assert table.position == batch[-1].position
        for view, known in views:
            check(view, known)
        late = ItemTable.open(Path(name))
        applied(late, sorted(newest.values(), key=lambda change: change.position))
        check(late, {k: c for k, c in newest.items() if late.rows_of(np.array([k]))[0] or c.deleted})
        table.reset()
        check(table, {})


def test_changes_at_or_below_the_position_are_skipped(folder: Path) -> None:
    table = ItemTable.open(folder)
    table.apply([ItemChange(5, 10, "id10", available=False)])
    table.apply([ItemChange(4, 10, "id10", available=True), ItemChange(5, 20, "id20", available=False)])
    assert table.position == 5
    assert table.available.tolist() == [False, False, True, True, True, True, True]


def test_a_table_with_a_delta_writes_the_bundle_s_rows(folder: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in (folder / "items").iterdir()}
    table = ItemTable.open(folder)
    applied(table, [ItemChange(1, 99, "id99", attributes={"genre": "new", "price": 9.0}), ItemChange(2, 10, "id10")])
    table.write(tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "items").iterdir()} == before


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        (
            Condition("colour", any_of=("red",)),
            r"filter\.conditions\[0\]\.attribute: unknown .*known are: genre, price",
        ),
        (Condition("genre"), r"filter\.conditions\[0\]\.any_of"),
        (Condition("genre", minimum=1.0), r"filter\.conditions\[0\]\.any_of"),
        (Condition("price", any_of=("1",)), r"filter\.conditions\[0\]: 'price' is numeric"),
    ],
)
def test_a_condition_that_cannot_be_met_by_any_item_is_refused(condition: Condition, field: str) -> None:
    with pytest.raises(InvalidArgument, match=field):
        built().allowed((condition,))


def test_conditions_and_their_negation() -> None:
    table = built()
    keys = table.keys

    def kept(*conditions: Condition) -> list[int]:
        return keys[table.allowed(conditions)].tolist()

    assert kept(Condition("genre", any_of=("drama",))) == [10, 20, 60]
    assert kept(Condition("genre", any_of=("drama", "comedy"), negate=True)) == [30, 50]
    assert kept(Condition("price", minimum=2.0, maximum=4.0)) == [20, 40]
    assert kept(Condition("price", minimum=2.0, negate=True)) == [10, 30]
    assert kept(Condition("genre", any_of=("drama",)), Condition("price", maximum=2.0)) == [10, 20]
    assert kept(Condition("genre", any_of=("unheard of",))) == []


def test_a_thousand_items_written_one_by_one_and_at_once_are_the_same() -> None:
    one, many = built(), built()
    rng = np.random.default_rng(0)
    changes = [
        ItemChange(i + 1, int(rng.integers(100, 600)), "", attributes={"genre": f"g{i % 7}"}) for i in range(1000)
    ]
    for change in changes:
        one.apply([change])
    many.apply(changes)
    keys = np.unique([c.item_key for c in changes])
    for key in keys:
        a, b = (int(t.rows_of(np.array([key]))[0]) for t in (one, many))
        assert one.tags["genre"].values_of(a) == many.tags["genre"].values_of(b)
    assert one.row_count == many.row_count == BUNDLED + 1 + len(keys)


def test_readers_in_other_threads_never_see_half_a_change() -> None:
    """Every batch writes price and tag of each item alike: a reader must find them alike."""
    table = built()
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            view = table.view()
            rows = np.arange(1, view.row_count)
            prices = view.numeric["price"][rows]
            tags = [view.tags["genre"].values_of(row) for row in rows.tolist()]
            shapes = {len(view.available), len(view.embeddings), len(view.content), len(view.created)}
            if len(shapes) != 1 or any(t != (f"v{int(p)}",) for p, t in zip(prices, tags, strict=True)):
                wrong.append((prices, tags, shapes))
                return

    keys = [*ITEM_KEYS, *range(100, 140)]

    def write(version: int, count: int) -> None:
        batch = [
            ItemChange(version * 1000 + i, key, "", attributes={"price": float(version), "genre": f"v{version}"})
            for i, key in enumerate(keys[:count])
        ]
        table.apply(batch, np.zeros((len(batch), 4), np.float32), embed)

    write(1, BUNDLED)
    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for version in range(2, 120):
        write(version, BUNDLED + version % len(keys) if version < 40 else len(keys))
        if version < 40:
            write(version + 1000, len(keys))
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong


def test_an_item_written_later_gets_the_content_it_would_have_had_in_training(
    tiny_bundles: tuple[Path, Path],
) -> None:
    """Every item of a trained bundle, written again as its owner would: the vector is the bundle's own."""
    data, bundles = tiny_bundles
    folder = bundles / (bundles / "CURRENT").read_text().strip()
    table = ItemTable.open(folder)
    with (data / "items.csv").open() as file:
        written = [
            ItemChange(
                i + 1, key_of("", row["id"]), row["id"],
                attributes={
                    "title": row["title"], "genres": row["genres"].split("|"), "maker": row["maker"],
                    "price": float(row["price"]), "internal note": "never mind",
                },
            )
            for i, row in enumerate(csv.DictReader(file))
        ]  # fmt: skip
    rows = table.rows_of(np.array([change.item_key for change in written]))
    assert (rows > 0).sum() > 50
    assert np.allclose(table.content_of(written)[rows > 0], table.content[rows[rows > 0]], atol=1e-6)
