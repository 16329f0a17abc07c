"""The feed: every table it feeds ends in the same state, whenever it came."""

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tiny_bundle import linear_tower

from penchant.bundle import current, read_manifest
from penchant.content import CONTENT_DIM
from penchant.ids import key
from penchant.item_reader import FILE, ItemReader
from penchant.item_table import ItemChange, ItemTable
from penchant.sessions import open_session
from services.runtime.items import ItemFeed
from services.runtime.loaded import LoadedBundle, load_bundle


@pytest.fixture
def bundle(pristine: Path) -> LoadedBundle:
    folder = pristine / "walks-1"
    return load_bundle(folder, read_manifest(folder), retrieval=False, ranking=False)


def change(position: int, item: str, **options: object) -> ItemChange:
    return ItemChange(position, key("", item), item, **options)  # type: ignore[arg-type]


def state(table: ItemTable) -> dict[str, tuple[object, ...]]:
    return {
        table.ids[row]: (
            bool(table.available[row]), table.tags["genre"].values_of(row),
            float(np.nan_to_num(table.numeric["price"][row])), table.embeddings[row].tolist(),
            table.content[row].tolist(), int(table.created[row]),
        )
        for row in range(1, table.row_count)
    }  # fmt: skip


def test_a_table_that_comes_late_catches_up(bundle: LoadedBundle, pristine: Path) -> None:
    feed = ItemFeed()
    feed.attach(bundle.table, bundle.embed)
    feed.apply([change(1, "n1", attributes={"genre": "drama", "title": "A title"}), change(2, "i3", available=False)])
    feed.apply([change(3, "n1", attributes={"genre": ["western", "new"]}), change(4, "n2", created_us=9)])
    feed.apply([change(5, "i3", attributes={"price": 2.5}), change(6, "n3"), change(7, "n3", deleted=True)])
    late = load_bundle(pristine / "walks-1", bundle.manifest, retrieval=False, ranking=False)
    feed.attach(late.table, late.embed)
    assert late.table.position == bundle.table.position == feed.position == 7
    here, there = state(bundle.table), state(late.table)
    assert {item: row for item, row in here.items() if row[0]} == {item: row for item, row in there.items() if row[0]}
    assert here["n1"][1] == ("western", "new")


def test_a_new_item_is_embedded_from_its_content_as_training_would(bundle: LoadedBundle) -> None:
    feed = ItemFeed()
    feed.attach(bundle.table, bundle.embed)
    feed.apply([change(1, "n1", attributes={"genre": "drama", "price": 3.0})])
    row = int(bundle.table.rows_of(np.array([key("", "n1")]))[0])
    alike = int(bundle.table.rows_of(np.array([key("", "i4")]))[0])  # A drama too, and the tags are all there is.
    assert np.allclose(bundle.table.content[row], bundle.table.content[alike])
    written = change(1, "n1", attributes={"genre": "drama", "price": 3.0, "image": "n1.png"})
    content = bundle.table.content_of([written])
    assert np.array_equal(bundle.table.content[row], content[0])
    assert np.allclose(bundle.table.embeddings[row], bundle.embed([written], content)[0], atol=1e-6)
    assert bundle.table.embeddings[row].any()


def test_words_tags_and_numbers_of_a_new_item_are_all_read(tiny_bundles: tuple[Path, Path]) -> None:
    folder = current(tiny_bundles[1])
    assert folder is not None
    fitted = load_bundle(folder, read_manifest(folder), retrieval=False, ranking=False)
    feed = ItemFeed()
    feed.attach(fitted.table, fitted.embed)
    said = {"title": "Thing 3 of drama", "genres": ["drama"], "maker": "m3", "price": 8.0}
    others = [
        {**said, "title": "Thing 70 of science"}, {**said, "genres": ["science"]}, {**said, "price": 14.0}, said,
    ]  # fmt: skip
    feed.apply([change(i + 1, f"n{i}", attributes=a) for i, a in enumerate([said, *others])])
    first, words, tags, number, same = fitted.table.embeddings.extra
    assert np.array_equal(first, same)
    assert all(np.abs(first - other).max() > 1e-4 for other in (words, tags, number))
    reader = ItemReader.open(folder)
    assert reader is not None
    tower = open_session(folder, fitted.manifest.models["item_tower"])
    assert np.allclose(first, tower({"content": reader.vectors([said])})[0], atol=1e-6)


def test_the_item_tower_of_a_bundle_without_a_reader_is_fed_the_content_vector(
    copy: Callable[..., Path], bundle: LoadedBundle
) -> None:
    weight = np.random.default_rng(0).standard_normal((CONTENT_DIM, 8)).astype(np.float32)

    def before_there_were_readers(folder: Path, manifest: dict[str, Any]) -> None:
        (folder / FILE).unlink()
        spec = manifest["models"]["item_tower"]
        onnx.save(linear_tower(weight), folder / spec["file"])
        np.savez(
            folder / spec["golden"],
            **{"in:content": np.eye(CONTENT_DIM, dtype=np.float32)[:4], "out:item_embedding": weight[:4]},
        )
        spec["inputs"][0]["shape"] = [-1, CONTENT_DIM]

    folder = copy("walks-2", before_there_were_readers)
    old = load_bundle(folder, read_manifest(folder), retrieval=False, ranking=False)
    content = bundle.table.content[np.arange(1, 4)]
    assert np.allclose(old.embed([], content), content @ weight, atol=1e-5)


def test_an_item_whose_embedding_fails_is_still_taken_in(bundle: LoadedBundle) -> None:
    def broken(changes: Sequence[ItemChange], content: np.ndarray) -> np.ndarray:
        raise RuntimeError("the tower fell")

    feed = ItemFeed()
    feed.attach(bundle.table, broken)
    feed.apply([change(1, "n1", attributes={"genre": "drama"}), change(2, "i3", available=False)])
    rows = bundle.table.rows_of(np.array([key("", "n1"), key("", "i3")]))
    assert bundle.table.available[rows].tolist() == [True, False]
    assert not bundle.table.embeddings[rows[:1]].any()


def test_a_snapshot_forgets_what_came_before(bundle: LoadedBundle) -> None:
    feed = ItemFeed()
    feed.attach(bundle.table, bundle.embed)
    before = state(bundle.table)
    feed.apply([change(8, "n1"), change(9, "i3", available=False)])
    feed.apply([change(1, "n2")], snapshot=True)
    assert feed.position == bundle.table.position == 1
    after = state(bundle.table)
    assert after.pop("n2")[0]
    assert after == before


def test_a_table_that_is_dropped_is_not_kept_alive(pristine: Path) -> None:
    feed = ItemFeed()
    folder = pristine / "walks-1"
    dropped = load_bundle(folder, read_manifest(folder), retrieval=False, ranking=False)
    feed.attach(dropped.table, dropped.embed)
    assert len(feed._tables) == 1
    del dropped
    gc.collect()
    feed.apply([change(1, "n1")])
    assert len(feed._tables) == 0
