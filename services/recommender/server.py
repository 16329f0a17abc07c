"""The front door's servicers: decode, call, encode."""

import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from penchant.v1 import ingestion_service_pb2
from penchant.v1 import recommender_service_pb2 as messages
from penchant.v1 import recommender_service_pb2_grpc as rpc
from services.recommender import wire
from services.recommender.catalogue import Catalogue
from services.recommender.deadline import Deadline
from services.recommender.front_door import FrontDoor
from services.runtime.channels import Metadata
from services.runtime.policy_file import PolicyFile
from services.runtime.trend import TrendFeed
from services.runtime.wire_errors import error_of

Context = grpc.aio.ServicerContext[Any, Any]
RECOMMENDER = messages.DESCRIPTOR.services_by_name["RecommenderService"].full_name
_INGESTION = ingestion_service_pb2.DESCRIPTOR.services_by_name["IngestionService"]
SERVICES = (RECOMMENDER, _INGESTION.full_name)
"""Of the front door as a service of its own."""


@dataclass(frozen=True, slots=True)
class RecommenderServicer(rpc.RecommenderServiceServicer):
    """clock gives UTC microseconds: the one clock of a request's features."""

    door: FrontDoor
    policy: PolicyFile
    clock: Callable[[], int]
    features_rate: float = 0.0
    trend: TrendFeed = field(default_factory=TrendFeed)

    async def RecommendItems(  # noqa: N802
        self, request: messages.RecommendItemsRequest, context: Context
    ) -> messages.RecommendItemsResponse:
        """A personalised slate."""
        catalogue, *older = self.door.catalogues()
        query = wire.items_query(request, self._frame(request.placement, context, catalogue, not older))
        return wire.items_response(await self.door.recommend(query, older[0] if older else None))

    async def RecommendSimilarItems(  # noqa: N802
        self, request: messages.RecommendSimilarItemsRequest, context: Context
    ) -> messages.RecommendSimilarItemsResponse:
        """Items like a given one."""
        catalogue, *older = self.door.catalogues()
        query = wire.similar_items_query(request, self._frame(request.placement, context, catalogue))
        return wire.similar_items_response(await self.door.recommend_similar(query, older[0] if older else None))

    async def RecommendSimilarUsers(  # noqa: N802
        self, request: messages.RecommendSimilarUsersRequest, context: Context
    ) -> messages.RecommendSimilarUsersResponse:
        """Users like a given one."""
        catalogue, *older = self.door.catalogues()
        query = wire.similar_users_query(request, self._frame("", context, catalogue))
        return wire.similar_users_response(await self.door.recommend_users(query, older[0] if older else None))

    def _frame(self, placement: str, context: Context, catalogue: Catalogue, last_bundle: bool = True) -> wire.Frame:
        policy = self.policy.current()
        left = context.time_remaining()
        seconds = policy.placement(placement).deadline_ms / 1000 if left is None else float(left)
        return wire.Frame(
            uuid.uuid4().hex,
            self.clock(),
            policy,
            catalogue,
            Deadline(seconds, time.monotonic),
            self.features_rate,
            last_bundle,
            self.trend.now,
        )


def register_recommender(servicer: RecommenderServicer, server: grpc.aio.Server) -> None:
    """Serve RecommenderService."""
    rpc.add_RecommenderServiceServicer_to_server(servicer, server)


class IngestionForwarder:
    """Hands the calls of IngestionService on to the feature store as bytes, and its answers back."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata, default_deadline_s: float) -> None:
        self._channel = channel
        self._metadata = metadata
        self._default_deadline_s = default_deadline_s

    def register(self, server: grpc.aio.Server) -> None:
        """Serve IngestionService."""
        handlers: dict[str, Any] = {
            method.name: grpc.stream_stream_rpc_method_handler(self._forward_stream(method.name))
            if method.client_streaming
            else grpc.unary_unary_rpc_method_handler(self._forward(method.name))
            for method in _INGESTION.methods
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_INGESTION.full_name, handlers),))

    def _forward(self, name: str) -> Callable[[bytes, Context], Any]:
        call: Any = self._channel.unary_unary(f"/{_INGESTION.full_name}/{name}")

        async def forward(request: bytes, context: Context) -> bytes:
            left = context.time_remaining()
            timeout = self._default_deadline_s if left is None else left
            try:
                answer: bytes = await call(request, timeout=timeout, metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                raise error_of(error) from None
            return answer

        return forward

    def _forward_stream(self, name: str) -> Callable[[AsyncIterator[bytes], Context], AsyncIterator[bytes]]:
        call: Any = self._channel.stream_stream(f"/{_INGESTION.full_name}/{name}")

        async def forward(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            # A stream without a deadline lives as long as its caller: each side holds the other back, nothing piles up.
            answers = call(requests, timeout=context.time_remaining(), metadata=self._metadata)
            try:
                async for answer in answers:
                    yield answer
            except grpc.aio.AioRpcError as error:
                raise error_of(error) from None
            finally:
                answers.cancel()

        return forward
