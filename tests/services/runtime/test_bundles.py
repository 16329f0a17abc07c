"""The bundle watcher: it follows the pointer, keeps the last two, and refuses what is not right."""

import asyncio
import json
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tiny_bundle import linear_tower, mean_tower

from penchant.bundle import MANIFEST, POINTER, publish
from penchant.errors import UnknownBundle
from services.runtime.bundles import BundleHolder
from services.runtime.items import ItemFeed
from services.runtime.loaded import LoadedBundle, load_bundle

Change = Callable[[Path, dict[str, Any]], None]
Holder = BundleHolder[LoadedBundle]


async def started(bundles: Path) -> Holder:
    holder: Holder = BundleHolder(bundles, load_bundle, poll_s=0.02)
    await holder.start()
    return holder


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come about")


async def test_it_follows_the_pointer_and_keeps_the_last_two(bundles: Path, copy: Callable[..., Path]) -> None:
    holder = await started(bundles)
    assert holder.versions == ("walks-1",)
    for version in ("v2", "v3"):
        copy(version)
        await until(lambda v=version: holder.versions[0] == v)
    assert holder.versions == ("v3", "v2")
    assert holder.newest.version == "v3"
    assert holder.get("v2").version == "v2"
    with pytest.raises(UnknownBundle, match=r"walks-1.*held are: v3, v2"):
        holder.get("walks-1")
    await holder.stop()


@pytest.mark.parametrize("pointer", ["", "../../../etc\n"])
async def test_a_pointer_to_no_bundle_is_refused_and_the_old_one_serves(bundles: Path, pointer: str) -> None:
    holder = await started(bundles)
    (bundles / POINTER).write_text(pointer)
    await until(lambda: "is empty" in holder.refused or "names no bundle folder here" in holder.refused)
    assert holder.versions == ("walks-1",)
    publish(bundles, "walks-1")
    await until(lambda: holder.refused == "")
    await holder.stop()
    (bundles / POINTER).write_text(pointer)
    fresh = await started(bundles)
    with pytest.raises(UnknownBundle, match=r"CURRENT"):
        _ = fresh.newest
    await fresh.stop()


async def test_a_bundle_that_is_dropped_leaves_memory(bundles: Path, copy: Callable[..., Path]) -> None:
    feed = ItemFeed()

    def load(folder: Path, manifest: Any) -> LoadedBundle:
        bundle = load_bundle(folder, manifest)
        feed.attach(bundle.table, bundle.embed)
        return bundle

    holder: Holder = BundleHolder(bundles, load, poll_s=1000)
    await holder.start()
    table = weakref.ref(holder.newest.table)
    for version in ("v2", "v3"):
        assert table() is not None
        copy(version)
        await holder.refresh()
    assert holder.versions == ("v3", "v2")
    assert table() is None
    await holder.stop()


async def test_moving_the_pointer_back_takes_effect_without_loading(bundles: Path, copy: Callable[..., Path]) -> None:
    holder = await started(bundles)
    old = holder.newest
    copy("v2")
    await until(lambda: holder.versions[0] == "v2")
    publish(bundles, "walks-1")
    await until(lambda: holder.versions == ("walks-1", "v2"))
    assert holder.newest is old
    await holder.stop()


async def test_it_waits_for_the_first_bundle(pristine: Path, tmp_path: Path) -> None:
    holder = await started(tmp_path)
    assert holder.versions == ()
    with pytest.raises(UnknownBundle, match="no published bundle"):
        _ = holder.newest
    (tmp_path / "walks-1").symlink_to(pristine / "walks-1")
    publish(tmp_path, "walks-1")
    await until(lambda: holder.versions == ("walks-1",))
    await holder.stop()


def narrower_tower(folder: Path, manifest: dict[str, Any]) -> None:
    """The model computes another width than the manifest says: a real ONNX file, wrongly exported."""
    file = folder / manifest["models"]["user_tower"]["file"]
    onnx.save(mean_tower(np.load(folder / "items" / "embeddings.npy")[:, :5]), file)


def other_output(folder: Path, manifest: dict[str, Any]) -> None:
    """Same shapes, other numbers than at export."""
    spec = manifest["models"]["item_tower"]
    onnx.save(linear_tower(np.ones((spec["inputs"][0]["shape"][1], 8), np.float32)), folder / spec["file"])


def other_schema(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["schema"]["has_values"] = True


def unknown_input(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["models"]["ranker"]["inputs"][0]["name"] = "weather"


def short_table(folder: Path, manifest: dict[str, Any]) -> None:
    path = folder / "items" / "embeddings.npy"
    np.save(path, np.load(path)[:-1])


def not_numpy(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / "retrieval" / "fresh.rows.npy").write_bytes(b"\x00" * 100)


def rows_beyond(folder: Path, manifest: dict[str, Any]) -> None:
    np.save(folder / "retrieval" / "fresh.rows.npy", np.array([10_000], np.uint32))


def no_users(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / "users" / "keys.npy").unlink()


def broken_onnx(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / manifest["models"]["ranker"]["file"]).write_bytes(b"no model")


def older_format(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["format"] = 0


def other_history(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["history_length"] = 30


def unknown_setting(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["retrieval"]["temperature"] = 1.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (narrower_tower, r"user_tower.onnx: outputs are .*5.* the manifest says .*8"),
        (other_output, "golden rows differ"),
        (other_schema, "fingerprint"),
        (unknown_input, "ranker reads 'weather', this program gives"),
        (short_table, r"items/embeddings has shape"),
        (not_numpy, "cannot be read"),
        (rows_beyond, r"fresh.rows names row 10000"),
        (no_users, "keys.npy"),
        (broken_onnx, "ranker.onnx cannot be loaded"),
        (older_format, "has format 0, this program reads 1"),
        (other_history, "history_rows has shape"),
        (unknown_setting, "temperature"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_wrong_bundle_is_refused_with_a_sentence_and_the_old_one_goes_on(
    bundles: Path, copy: Callable[..., Path], change: Change, sentence: str
) -> None:
    holder = await started(bundles)
    copy("v2", change)
    await until(lambda: bool(holder.refused))
    assert holder.versions == ("walks-1",)
    assert re.search(sentence, holder.refused), holder.refused
    copy("v3")
    await until(lambda: holder.versions == ("v3", "walks-1"))
    assert holder.refused == ""
    await holder.stop()


def flipped_byte(folder: Path) -> None:
    """What unsafe loaders crash on: one byte of the index differs."""
    path = folder / "retrieval" / "index.hnsw"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def lost_file(folder: Path) -> None:
    (folder / "items" / "ids.json").unlink()


def torn_manifest(folder: Path) -> None:
    path = folder / MANIFEST
    path.write_text(path.read_text()[:100])


def renamed(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "version": "other"}))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (flipped_byte, "index.hnsw has sha256 .* copy the bundle again"),
        (lost_file, "ids.json is missing"),
        (torn_manifest, "is no JSON"),
        (renamed, "holds bundle 'other'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_damaged_bundle_is_refused_and_taken_once_it_is_mended(
    bundles: Path, copy: Callable[..., Path], damage: Callable[[Path], None], sentence: str
) -> None:
    holder: Holder = BundleHolder(bundles, load_bundle, poll_s=1000)
    await holder.start()
    folder = copy("v2")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    damage(folder)
    await holder.refresh()
    assert re.search(sentence, holder.refused), holder.refused
    assert holder.versions == ("walks-1",)
    for path, data in before.items():
        path.write_bytes(data)
    publish(bundles, "v2")
    await holder.refresh()
    assert holder.versions == ("v2", "walks-1")
    assert holder.refused == ""
    await holder.stop()


async def test_a_pointer_to_nothing_is_refused(bundles: Path) -> None:
    holder = await started(bundles)
    (bundles / POINTER).write_text("nowhere\n")
    await until(lambda: "manifest.json is missing" in holder.refused)
    assert holder.versions == ("walks-1",)
    await holder.stop()
