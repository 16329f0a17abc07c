"""CandidateGenService: decode, call, encode."""

from typing import Any

import grpc

from penchant.leaves import RetrievalLeaf
from penchant.v1 import candidate_gen_service_pb2 as messages
from penchant.v1 import candidate_gen_service_pb2_grpc as rpc
from services.candidate_gen.wire import query_from_request, response_of
from services.runtime.deadline import seconds_left

SERVICE = "penchant.v1.CandidateGenService"


class CandidateGenServicer(rpc.CandidateGenServiceServicer):
    """Serves a retrieval leaf."""

    def __init__(self, leaf: RetrievalLeaf, default_deadline_s: float = 1.0) -> None:
        self._leaf = leaf
        self._default_deadline_s = default_deadline_s

    async def RetrieveCandidates(  # noqa: N802
        self, request: messages.RetrieveCandidatesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> messages.RetrieveCandidatesResponse:
        """Blended candidates, best first."""
        retrieved = await self._leaf.retrieve(
            query_from_request(request), seconds_left(context, self._default_deadline_s)
        )
        return response_of(retrieved)
