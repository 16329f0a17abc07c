"""Written items reach the item tables, also after a change that cannot be applied."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace

from penchant.item_table import ItemChange
from services.runtime.items import ItemFeed
from services.standalone.__main__ import follow_items


class FeedThatFailsOnce(ItemFeed):
    failures = 0

    def apply(self, changes: Sequence[ItemChange], snapshot: bool = False) -> None:
        if not self.failures:
            self.failures += 1
            raise ValueError("broken change")
        super().apply(changes, snapshot)


class Store:
    """item_changes of a feature store that holds one written item."""

    async def item_changes(self, from_position: int) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(snapshot=True, changes=[ItemChange(1, 7, "seven")], position=1)
        await asyncio.Event().wait()


async def test_a_change_that_cannot_be_applied_does_not_end_the_following() -> None:
    feed = FeedThatFailsOnce()
    following = asyncio.create_task(follow_items(Store(), feed, retry_s=0.01))
    async with asyncio.timeout(10):
        while feed.position != 1:
            await asyncio.sleep(0.01)
    following.cancel()
    assert feed.failures == 1
