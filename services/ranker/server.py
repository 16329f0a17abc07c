"""RankerService: decode, call, encode."""

from typing import Any

import grpc

from penchant.leaves import RankingLeaf
from penchant.v1 import ranker_service_pb2 as messages
from penchant.v1 import ranker_service_pb2_grpc as rpc
from services.ranker.wire import query_from_request, response_of
from services.runtime.deadline import seconds_left

SERVICE = "penchant.v1.RankerService"


class RankerServicer(rpc.RankerServiceServicer):
    """Serves a ranking leaf."""

    def __init__(self, leaf: RankingLeaf, default_deadline_s: float = 1.0) -> None:
        self._leaf = leaf
        self._default_deadline_s = default_deadline_s

    async def RankCandidates(  # noqa: N802
        self, request: messages.RankCandidatesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> messages.RankCandidatesResponse:
        """Task scores, in request order."""
        ranked = await self._leaf.rank(query_from_request(request), seconds_left(context, self._default_deadline_s))
        return response_of(ranked)
