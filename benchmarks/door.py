"""The front door as the load sees it: requests as bytes, answers as messages, every call with a deadline."""

from types import TracebackType
from typing import Any, Self

import grpc

from benchmarks.stand import say
from benchmarks.workload import Workload
from penchant.v1 import (
    candidate_gen_service_pb2,
    event_pb2,
    ingestion_service_pb2,
    recommender_service_pb2,
    status_service_pb2,
)

DEADLINE_S = 10.0
_HISTORIES = 500
"""Events a call."""
RecommendItems = recommender_service_pb2.RecommendItemsRequest


class Door:
    """One connection. An async context manager."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, [("grpc.max_receive_message_length", 64 << 20)])
        self._write_events = self._call("IngestionService/WriteEvents", ingestion_service_pb2.WriteEventsResponse)
        self._write_items = self._call("IngestionService/WriteItems", ingestion_service_pb2.WriteItemsResponse)
        self._slate = self._call("RecommenderService/RecommendItems", recommender_service_pb2.RecommendItemsResponse)
        self._status = self._call("StatusService/GetStatus", status_service_pb2.GetStatusResponse)
        self._candidates = self._call(
            "CandidateGenService/RetrieveCandidates", candidate_gen_service_pb2.RetrieveCandidatesResponse
        )

    async def __aenter__(self) -> Self:
        await self._channel.channel_ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def write_events(self, request: bytes) -> ingestion_service_pb2.WriteEventsResponse:
        """WriteEvents. Raises ValueError if one of them was refused."""
        answer: ingestion_service_pb2.WriteEventsResponse = await self._write_events(request, timeout=DEADLINE_S)
        if answer.rejections:
            raise ValueError(f"refused: {answer.rejections[0].reason}")
        return answer

    async def write_items(self, items: list[event_pb2.Item]) -> ingestion_service_pb2.WriteItemsResponse:
        """WriteItems. Raises ValueError if one of them was refused."""
        request = ingestion_service_pb2.WriteItemsRequest(items=items).SerializeToString()
        answer: ingestion_service_pb2.WriteItemsResponse = await self._write_items(request, timeout=DEADLINE_S)
        if answer.rejections:
            raise ValueError(f"refused: {answer.rejections[0].reason}")
        return answer

    async def slate(
        self, user: str, max_items: int = 20, token: int = 0, **asked: Any
    ) -> recommender_service_pb2.RecommendItemsResponse:
        """RecommendItems."""
        request = RecommendItems(user_id=user, max_items=max_items, **asked)
        if token:
            request.token.position = token
        answer: recommender_service_pb2.RecommendItemsResponse = await self._slate(
            request.SerializeToString(), timeout=DEADLINE_S
        )
        return answer

    async def candidates(
        self, request: candidate_gen_service_pb2.RetrieveCandidatesRequest
    ) -> candidate_gen_service_pb2.RetrieveCandidatesResponse:
        """RetrieveCandidates."""
        answer: candidate_gen_service_pb2.RetrieveCandidatesResponse = await self._candidates(
            request.SerializeToString(), timeout=DEADLINE_S
        )
        return answer

    async def status(self) -> status_service_pb2.GetStatusResponse:
        """GetStatus."""
        answer: status_service_pb2.GetStatusResponse = await self._status(b"", timeout=DEADLINE_S)
        return answer

    def _call(self, method: str, answer: Any) -> Any:
        return self._channel.unary_unary(f"/penchant.v1.{method}", response_deserializer=answer.FromString)


async def write_histories(door: Door, workload: Workload, events: int) -> None:
    """Give users a past before the load begins."""
    if events:
        say(f"histories: {events:,} events")
    for at in range(0, events, _HISTORIES):
        (request,) = workload.requests(1, min(_HISTORIES, events - at))
        await door.write_events(request)
