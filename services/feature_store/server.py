"""The feature store's gRPC services: decode, call, encode."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import grpc
import numpy as np

from penchant.errors import InvalidArgument
from penchant.v1 import feature_store_service_pb2, ingestion_service_pb2
from penchant.v1 import feature_store_service_pb2_grpc as feature_rpc
from penchant.v1 import ingestion_service_pb2_grpc as ingestion_rpc
from services.feature_store.event_stream import Answer, answered_in_order
from services.feature_store.leaf import FeatureStore
from services.feature_store.validate import check_batch
from services.feature_store.wire import (
    column_to_proto,
    event_from_proto,
    item_from_proto,
    merge_from_proto,
    rejection_to_proto,
    user_from_proto,
)
from services.feature_store.writes import Begun, Rejected, Written
from services.runtime.deadline import seconds_left
from services.runtime.wire import item_change_to_proto, pack, user_state_to_proto

Context = grpc.aio.ServicerContext[Any, Any]
T = TypeVar("T")
SERVICE_NAMES = tuple(
    descriptor.full_name
    for descriptor in (
        feature_store_service_pb2.DESCRIPTOR.services_by_name["FeatureStoreService"],
        ingestion_service_pb2.DESCRIPTOR.services_by_name["IngestionService"],
    )
)


def wall_clock_us() -> int:
    """UTC microseconds now."""
    return time.time_ns() // 1000


class FeatureStoreServicer(feature_rpc.FeatureStoreServiceServicer):
    """The read side."""

    def __init__(self, leaf: FeatureStore, default_deadline_s: float = 1.0) -> None:
        self._leaf = leaf
        self._default_deadline_s = default_deadline_s

    async def FetchFeatures(  # noqa: N802
        self, request: feature_store_service_pb2.FetchFeaturesRequest, context: Context
    ) -> feature_store_service_pb2.FetchFeaturesResponse:
        """User states and named features, in request order."""
        if request.as_of_us <= 0:
            raise InvalidArgument("as_of_us", f"{request.as_of_us} is no time: give UTC microseconds")
        left_s = seconds_left(context, self._default_deadline_s)
        # Also where no user is asked for: it waits for minimum_position.
        fetched = await self._leaf.fetch_users(
            np.array(request.user_keys, np.int64), request.as_of_us, request.minimum_position, left_s
        )
        columns = []
        if request.feature_service:
            columns = await self._leaf.fetch_features(
                request.feature_service,
                np.array(request.entity_keys, np.int64),
                request.as_of_us,
                seconds_left(context, self._default_deadline_s),
            )
        elif request.entity_keys:
            raise InvalidArgument("feature_service", "is empty: name the feature service that entity_keys belong to")
        return feature_store_service_pb2.FetchFeaturesResponse(
            users=[user_state_to_proto(user) for user in fetched.users],
            columns=[column_to_proto(name, column) for name, column in columns],
            events_applied_through=fetched.events_applied_through,
            item_table_position=fetched.item_table_position,
        )

    async def WatchItems(  # noqa: N802
        self, request: feature_store_service_pb2.WatchItemsRequest, context: Context
    ) -> AsyncIterator[feature_store_service_pb2.WatchItemsResponse]:
        """Changes after a position, until the caller leaves."""
        if request.from_position < 0:
            raise InvalidArgument("from_position", f"{request.from_position} is negative: give 0 for everything")
        async for run in self._leaf.item_changes(request.from_position):
            yield feature_store_service_pb2.WatchItemsResponse(
                snapshot=run.snapshot,
                changes=[item_change_to_proto(change) for change in run.changes],
                position=run.position,
            )

    async def WatchTrend(  # noqa: N802
        self, request: feature_store_service_pb2.WatchTrendRequest, context: Context
    ) -> AsyncIterator[feature_store_service_pb2.WatchTrendResponse]:
        """What is trending, until the caller leaves."""
        async for trend in self._leaf.trend_changes():
            yield feature_store_service_pb2.WatchTrendResponse(
                as_of_us=trend.as_of_us,
                item_keys=pack(trend.keys, np.int64),
                weights=pack(trend.weights, np.float32),
            )


class IngestionServicer(ingestion_rpc.IngestionServiceServicer):
    """The write side."""

    def __init__(self, leaf: FeatureStore, clock: Callable[[], int] = wall_clock_us) -> None:
        self._leaf = leaf
        self._clock = clock

    async def WriteEvents(  # noqa: N802
        self, request: ingestion_service_pb2.WriteEventsRequest, context: Context
    ) -> ingestion_service_pb2.WriteEventsResponse:
        """Log and apply events."""
        check_batch(len(request.events), "events")
        now_us = self._clock()
        events, places, refused = _decoded(request.events, lambda message: event_from_proto(message, now_us))
        written = await self._leaf.write_events(events, now_us) if events else Written(0, (), 0)
        response = ingestion_service_pb2.WriteEventsResponse(
            accepted=written.accepted, rejections=_rejections(written, places, refused)
        )
        response.token.position = written.position
        return response

    async def StreamEvents(  # noqa: N802
        self, requests: AsyncIterator[ingestion_service_pb2.StreamEventsRequest], context: Context
    ) -> AsyncIterator[ingestion_service_pb2.StreamEventsResponse]:
        """Log and apply one batch after another; the next ones are taken while the first wait for the disk."""
        async for response in answered_in_order(requests, self._begin):
            yield response

    def _begin(
        self, request: ingestion_service_pb2.StreamEventsRequest
    ) -> Answer[ingestion_service_pb2.StreamEventsResponse]:
        check_batch(len(request.events), "events")
        now_us = self._clock()
        events, places, refused = _decoded(request.events, lambda message: event_from_proto(message, now_us))
        begun = self._leaf.begin_events(events, now_us) if events else Begun(0, (), None)

        async def answer() -> ingestion_service_pb2.StreamEventsResponse:
            written = await begun.written()
            response = ingestion_service_pb2.StreamEventsResponse(
                accepted=written.accepted, rejections=_rejections(written, places, refused)
            )
            response.token.position = written.position
            return response

        return answer

    async def WriteItems(  # noqa: N802
        self, request: ingestion_service_pb2.WriteItemsRequest, context: Context
    ) -> ingestion_service_pb2.WriteItemsResponse:
        """Create or replace items."""
        written = await self._leaf.write_items([item_from_proto(item) for item in request.items], self._clock())
        return ingestion_service_pb2.WriteItemsResponse(
            accepted=written.accepted,
            rejections=[rejection_to_proto(rejected) for rejected in written.rejections],
            item_table_position=written.position,
        )

    async def MergeIdentities(  # noqa: N802
        self, request: ingestion_service_pb2.MergeIdentitiesRequest, context: Context
    ) -> ingestion_service_pb2.MergeIdentitiesResponse:
        """Join one identity to a user."""
        merged = await self._leaf.merge_identities(merge_from_proto(request.merge, self._clock()))
        response = ingestion_service_pb2.MergeIdentitiesResponse(already_merged=merged.already)
        response.token.position = merged.position
        return response

    async def WriteUsers(  # noqa: N802
        self, request: ingestion_service_pb2.WriteUsersRequest, context: Context
    ) -> ingestion_service_pb2.WriteUsersResponse:
        """Create or replace user attributes."""
        now_us = self._clock()
        written = await self._leaf.write_users([user_from_proto(user, now_us) for user in request.users], now_us)
        return ingestion_service_pb2.WriteUsersResponse(
            accepted=written.accepted,
            rejections=[rejection_to_proto(rejected) for rejected in written.rejections],
        )


def _decoded(messages: Sequence[Any], decode: Callable[[Any], T]) -> tuple[list[T], list[int], list[Rejected]]:
    """What could be decoded, its places in the request, and why the rest could not."""
    decoded, places, refused = [], [], []
    for i, message in enumerate(messages):
        try:
            decoded.append(decode(message))
            places.append(i)
        except InvalidArgument as error:
            refused.append(Rejected(i, error.field, error.reason))
    return decoded, places, refused


def _rejections(written: Written, places: Sequence[int], refused: Sequence[Rejected]) -> list[Any]:
    moved = [Rejected(places[r.index], r.field, r.reason) for r in written.rejections]
    return [rejection_to_proto(r) for r in sorted([*moved, *refused], key=lambda r: r.index)]


def register(leaf: FeatureStore, server: grpc.aio.Server, default_deadline_s: float = 1.0) -> None:
    """Add both services to a server."""
    feature_rpc.add_FeatureStoreServiceServicer_to_server(FeatureStoreServicer(leaf, default_deadline_s), server)
    ingestion_rpc.add_IngestionServiceServicer_to_server(IngestionServicer(leaf), server)
