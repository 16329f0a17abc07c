"""A copy of what the server serves, in this process: the bundle and every written item, to hold its answers against."""

import asyncio
from types import TracebackType
from typing import Self

import grpc
import numpy as np
from numpy.typing import NDArray

from benchmarks.door import Door
from benchmarks.stand import Stand
from penchant.bundle import read_manifest
from penchant.leaves import UserState
from penchant.retrieval.search import best
from penchant.types import Keys
from penchant.v1.candidate_gen_service_pb2 import RetrieveCandidatesRequest
from services.runtime.items import ItemFeed, watch_feature_store
from services.runtime.loaded import LoadedBundle, load_bundle
from services.runtime.wire import user_state_to_proto


class Mirror:
    """Follows the server's items; an async context manager."""

    def __init__(self, stand: Stand) -> None:
        folder = stand.bundle
        self.bundle: LoadedBundle = load_bundle(folder, read_manifest(folder), ranking=False, index="exact")
        self.feed = ItemFeed()
        self.feed.attach(self.bundle.table, self.bundle.embed)
        self._address = stand.address

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self._address)
        self._following = asyncio.create_task(watch_feature_store(self._channel, self.feed))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await self._channel.close()

    async def caught_up(self, position: int, timeout_s: float = 60.0) -> None:
        """Wait until every change up to a position is here. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while self.feed.position < position:  # noqa: ASYNC110 - the feed is another's, and tells nobody
                await asyncio.sleep(0.05)

    async def served(self, door: Door, user: UserState, count: int, sources: tuple[str, ...] = ()) -> Keys:
        """Keys of the candidates that the server retrieves for a user, best first."""
        answer = await door.candidates(
            RetrieveCandidatesRequest(
                bundle_version=self.bundle.version,
                user=user_state_to_proto(user),
                max_candidates=count,
                sources=sources,
                as_of_us=1,
            )
        )
        block = answer.candidates
        if block.keys:
            return np.frombuffer(block.keys, "<i8").astype(np.int64)
        return self.bundle.table.keys_of(np.frombuffer(block.rows, "<u4").astype(np.uint32))

    def exact(self, user: UserState, count: int) -> Keys:
        """Keys of the unseen, available items with the largest inner products, looked at one by one."""
        table = self.bundle.table.view()
        assert self.bundle.retrieval is not None
        history = table.rows_of(user.history_keys).astype(np.int64)
        vector = self.bundle.retrieval.user_vector(history[(history > 0) & (history <= table.bundle_rows)])
        allowed = table.allowed()
        allowed[history] = False
        rows: NDArray[np.int64] = np.flatnonzero(allowed)
        return table.keys_of(best(rows, table.embeddings[rows] @ vector, count)[0])
