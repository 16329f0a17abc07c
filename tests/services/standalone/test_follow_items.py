"""Written items reach the item tables, also after a change that cannot be applied."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace

from penchant.item_table import ItemChange
from services.runtime.items import ItemFeed
from services.standalone.__main__ import follow_items


class FeedThatFailsOnce(ItemFeed):
    def __init__(self) -> None:
        super().__init__()
        self.failures = 0
        self.applied = threading.Event()

    def apply(self, changes: Sequence[ItemChange], snapshot: bool = False) -> None:
        if not self.failures:
            self.failures += 1
            raise ValueError("broken change")
        super().apply(changes, snapshot)
        self.applied.set()


class Store:
    """item_changes of a feature store that holds one written item."""

    async def item_changes(self, from_position: int) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(snapshot=True, changes=[ItemChange(1, 7, "seven")], position=1)
        await asyncio.Event().wait()


async def test_a_change_that_cannot_be_applied_does_not_end_the_following() -> None:
    feed = FeedThatFailsOnce()
    following = asyncio.create_task(follow_items(Store(), feed, retry_s=0.01))
    assert await asyncio.to_thread(feed.applied.wait, 30)
    following.cancel()
    assert feed.position == 1
    assert feed.failures == 1
