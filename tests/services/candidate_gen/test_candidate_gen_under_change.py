"""While bundles are published and items written, every call is answered by the bundle it names, whole."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from penchant.ids import key, keys
from penchant.item_table import ItemChange
from penchant.leaves import Condition, RetrievalQuery, UserState
from services.candidate_gen.leaf import CandidateGen
from services.runtime.bundles import BundleHolder
from services.runtime.items import ItemFeed
from services.runtime.loaded import LoadedBundle, load_bundle


async def test_calls_go_on_while_bundles_and_items_change(bundles: Path, copy: Callable[..., Path]) -> None:
    feed = ItemFeed()

    def opened(folder: Path, manifest: Any) -> LoadedBundle:
        bundle = load_bundle(folder, manifest, ranking=False)
        feed.attach(bundle.table, bundle.embed)
        return bundle

    holder: BundleHolder[LoadedBundle] = BundleHolder(bundles, opened, poll_s=0.01)
    await holder.start()
    leaf = CandidateGen(holder)
    done = asyncio.Event()
    history = keys("", ["i10", "i12"])
    user = UserState(1, True, history, np.arange(2), np.full(2, 2), np.full(2, np.nan, np.float32), np.sort(history))
    answered: set[str] = set()

    async def ask() -> None:
        while not done.is_set():
            version = holder.versions[0]
            table = holder.newest.table
            retrieved = await leaf.retrieve(
                RetrievalQuery(version, user, 100, 1, conditions=(Condition("genre", any_of=("drama",)),)), 1.0
            )
            found = retrieved.candidates
            assert len(found.rows) >= 15
            for row in found.rows.tolist():
                assert "drama" in table.tags["genre"].values_of(row)
            assert not {"i10", "i12"} & {table.ids[row] for row in found.rows}
            answered.add(version)
            await asyncio.sleep(0)

    async def write_items() -> None:
        position = 0
        while not done.is_set():
            changes = []
            for _ in range(20):
                position += 1
                name = f"n{position % 60}"
                tags = ("drama", "western")[position % 2]
                changes.append(ItemChange(position, key("", name), name, attributes={"genre": tags}))
            await asyncio.to_thread(feed.apply, changes)
            await asyncio.sleep(0)

    async def publish() -> None:
        for number in range(4):
            version = f"v{number}"
            await asyncio.to_thread(copy, version)
            while version not in answered:
                assert not holder.refused
                await asyncio.sleep(0.01)
        done.set()

    await asyncio.gather(publish(), write_items(), *(ask() for _ in range(3)))
    assert answered >= {"v0", "v1", "v2", "v3"}
    assert holder.newest.table.position == feed.position
    await holder.stop()
