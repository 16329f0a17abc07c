"""Items written while the process runs: the newest change of each, applied to every bundle's item table."""

import asyncio
import threading
import weakref
from collections.abc import Sequence

import grpc

from penchant.item_table import Embed, ItemChange, ItemTable
from penchant.v1 import feature_store_service_pb2 as messages
from penchant.v1 import feature_store_service_pb2_grpc as rpc
from services.runtime.channels import Metadata
from services.runtime.logs import logger
from services.runtime.wire import item_change_from_proto

_log = logger("items")
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 2.0


class ItemFeed:
    """Holds the newest change of every written item, so that a table that comes later catches up.

    Tables are held weakly: a bundle that is dropped takes its table along. Safe to call from several threads.
    """

    def __init__(self) -> None:
        self.position = 0
        """Position of the newest change taken in."""
        self.synced = False
        """Whether the feature store has been heard: before that, deleted items are not known to be gone."""
        self._newest: dict[int, ItemChange] = {}
        self._tables: weakref.WeakKeyDictionary[ItemTable, Embed | None] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def attach(self, table: ItemTable, embed: Embed | None = None) -> None:
        """Bring a table up to date, and keep it so from then on; embed is the bundle's item tower."""
        with self._lock:
            changes = sorted(self._newest.values(), key=lambda change: change.position)
            _apply(table, changes, embed)
            self._tables[table] = embed

    def apply(self, changes: Sequence[ItemChange], snapshot: bool = False) -> None:
        """Take in changes in position order; with snapshot, forget all that was held before them."""
        with self._lock:
            if snapshot:
                self._newest.clear()
                self.position = 0
            for change in changes:
                self._newest.pop(change.item_key, None)
                self._newest[change.item_key] = change
                self.position = max(self.position, change.position)
            for table, embed in list(self._tables.items()):
                if snapshot:
                    table.reset()
                _apply(table, changes, embed)
            self.synced = True


def _apply(table: ItemTable, changes: Sequence[ItemChange], embed: Embed | None) -> None:
    if not changes:
        return
    content = table.content_of(changes)
    try:
        table.apply(changes, content, embed)
    except Exception as error:
        if embed is None:
            raise
        _log.error("new items are not embedded", error=repr(error), positions=[c.position for c in changes[:10]])
        table.apply(changes, content)


async def watch_feature_store(channel: grpc.aio.Channel, feed: ItemFeed, metadata: Metadata = ()) -> None:
    """Keep the feed in step with the feature store until cancelled; connects again when the stream ends."""
    stub = rpc.FeatureStoreServiceStub(channel)
    retry_s = _FIRST_RETRY_S
    while True:
        try:
            request = messages.WatchItemsRequest(from_position=feed.position)
            async for response in stub.WatchItems(request, metadata=metadata, wait_for_ready=True):
                changes = [item_change_from_proto(change) for change in response.changes]
                await asyncio.to_thread(feed.apply, changes, response.snapshot)
                retry_s = _FIRST_RETRY_S
        except grpc.aio.AioRpcError as error:
            _log.warning("item changes interrupted", code=error.code().name, reason=error.details())
        except Exception as error:
            _log.error("item changes not applied", error=repr(error), exc_info=error)
        await asyncio.sleep(retry_s)
        retry_s = min(2 * retry_s, _LAST_RETRY_S)
