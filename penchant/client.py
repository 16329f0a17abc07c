"""A typed client of the front door, blocking and asyncio. It speaks only gRPC and raises only penchant.errors."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

import grpc

from penchant import messages
from penchant.answers import Merged, SimilarUsers, Slate, Status, Written
from penchant.errors import ClientClosed, ConfigError, InvalidArgument
from penchant.event_stream import stream, stream_async
from penchant.fields import build, refused
from penchant.leaves import Condition
from penchant.rpc_errors import error_of
from penchant.v1 import event_pb2, ingestion_service_pb2, recommender_service_pb2, status_service_pb2
from penchant.v1.ingestion_service_pb2_grpc import IngestionServiceStub
from penchant.v1.recommender_service_pb2_grpc import RecommenderServiceStub
from penchant.v1.status_service_pb2_grpc import StatusServiceStub
from penchant.writes import EventWrite, ItemWrite, UserWrite

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_DEADLINE_S = 5.0
_OPTIONS = (("grpc.max_receive_message_length", 64 << 20),)
STREAM_PATIENCE_S = 30.0
MAX_DEADLINE_S = 86_400.0
_CLOSED = "the client is closed: make another"


class Asking(TypedDict, total=False):
    """Who asks for similar items."""

    user_id: str
    anonymous_id: str
    device_id: str
    token: int
    """Written.position of the events that the answer must know of."""


class ItemsAsked(TypedDict, total=False):
    """What a slate may be asked for with; see RecommendItemsRequest in protos/penchant/v1/recommender_service.proto."""

    user_id: str
    anonymous_id: str
    device_id: str
    tenant: str
    session_id: str
    placement: str
    conditions: Sequence[Condition]
    excluded: Sequence[str]
    candidates: Sequence[str]
    context: Mapping[str, str]
    include_seen: bool
    token: int
    """Written.position of the events that the slate must know of."""
    as_of: datetime | None
    ranking: str
    """"model", "retrieval", or "" for the policy's."""
    sources: Sequence[str]
    time_zone: str


def _items_request(max_items: int, asked: ItemsAsked) -> recommender_service_pb2.RecommendItemsRequest:
    values: Any = dict(asked)
    ranking = values.pop("ranking", "")
    if not isinstance(ranking, str) or ranking not in messages.RANKINGS:
        raise refused("ranking", ranking, "it may be 'model' or 'retrieval'")
    token = values.pop("token", 0)
    values |= {
        "max_items": max_items,
        "filter": messages.item_filter(values.pop("conditions", ())),
        "excluded_item_ids": values.pop("excluded", ()),
        "candidate_item_ids": values.pop("candidates", ()),
        "as_of": messages.timestamp(values.pop("as_of", None), "as_of"),
        "ranking": messages.RANKINGS[ranking],
        "token": build(event_pb2.WriteToken, "token.", {"position": token}) if token else None,
    }
    return build(recommender_service_pb2.RecommendItemsRequest, "", values)


def _similar_items_request(
    item_id: str,
    max_items: int,
    conditions: Sequence[Condition],
    excluded: Sequence[str],
    placement: str,
    tenant: str,
    who: Asking,
) -> recommender_service_pb2.RecommendSimilarItemsRequest:
    token: Any = who.get("token", 0)
    values = {
        **{name: value for name, value in who.items() if name != "token"},
        "token": build(event_pb2.WriteToken, "token.", {"position": token}) if token else None,
        "item_id": item_id,
        "max_items": max_items,
        "filter": messages.item_filter(conditions),
        "excluded_item_ids": excluded,
        "placement": placement,
        "tenant": tenant,
    }
    return build(recommender_service_pb2.RecommendSimilarItemsRequest, "", values)


class _Stubs:
    """A channel's stubs, the deadline of every call and the token it carries."""

    def __init__(self, channel: Any, token: str, deadline_s: float) -> None:
        self.recommender: Any = RecommenderServiceStub(channel)
        self.ingestion: Any = IngestionServiceStub(channel)
        self.status: Any = StatusServiceStub(channel)
        self.call: Any = {
            "timeout": deadline_s,
            "metadata": (("authorization", f"Bearer {token}"),) if token else None,
        }


class Client:
    """Blocking. Use it as a context manager, or close it. tls_authority: PEM of who signed the server's certificate."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        token: str = "",
        deadline_s: float = DEFAULT_DEADLINE_S,
        tls_authority: Path | None = None,
    ) -> None:
        _check(address, token, deadline_s)
        credentials = _credentials(tls_authority)
        self._closed = False
        self._channel = (
            grpc.secure_channel(address, credentials, _OPTIONS)
            if credentials
            else grpc.insecure_channel(address, _OPTIONS)
        )
        self._stubs = _Stubs(self._channel, token, deadline_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._closed = True
        self._channel.close()

    def recommend_items(self, max_items: int = 10, **asked: Unpack[ItemsAsked]) -> Slate:
        """A personalised slate."""
        request = _items_request(max_items, asked)
        return messages.slate(self._call(self._stubs.recommender.RecommendItems, request))

    def recommend_similar_items(
        self,
        item_id: str,
        max_items: int = 10,
        conditions: Sequence[Condition] = (),
        excluded: Sequence[str] = (),
        placement: str = "",
        tenant: str = "",
        **who: Unpack[Asking],
    ) -> Slate:
        """Items like a given one; without what the user who asks has hidden."""
        request = _similar_items_request(item_id, max_items, conditions, excluded, placement, tenant, who)
        return messages.slate(self._call(self._stubs.recommender.RecommendSimilarItems, request))

    def recommend_similar_users(self, user_id: str, max_users: int = 10, tenant: str = "") -> SimilarUsers:
        """Users like a given one."""
        request = _similar_users_request(user_id, max_users, tenant)
        return messages.similar_users(self._call(self._stubs.recommender.RecommendSimilarUsers, request))

    def write_events(self, events: Iterable[EventWrite]) -> Written:
        """At most 1000 events, in the order they happened."""
        request = _events_request(events)
        return messages.written(self._call(self._stubs.ingestion.WriteEvents, request))

    def stream_events(
        self, batches: Iterable[Iterable[EventWrite]], patience_s: float = STREAM_PATIENCE_S
    ) -> Iterator[Written]:
        """What became of each batch of at most 1000 events, in order, while the next ones are already on their way.

        What was yielded is durable. After an error nothing is known of the batches behind it: with event_ids they can
        be sent again. patience_s: how long to wait for an answer; a busy stack lets a stream wait.
        """
        call = self._stubs.ingestion.StreamEvents
        metadata = self._stubs.call["metadata"]
        try:
            answers = stream(lambda sent: call(sent, metadata=metadata), batches, _stream_request, patience_s)
            yield from map(messages.written, answers)
        except ValueError:
            if self._closed:
                raise ClientClosed(_CLOSED) from None
            raise

    def merge_identities(
        self, into_user_id: str, *, anonymous_id: str = "", device_id: str = "", user_id: str = "", tenant: str = ""
    ) -> Merged:
        """Join an anonymous session, a device or another user to a user; a repeat changes nothing."""
        request = _merge_request(into_user_id, anonymous_id, device_id, user_id, tenant)
        return messages.merged(self._call(self._stubs.ingestion.MergeIdentities, request))

    def write_items(self, items: Iterable[ItemWrite]) -> Written:
        """At most 1000 items, created or replaced."""
        request = _write_items_request(items)
        return messages.written(self._call(self._stubs.ingestion.WriteItems, request))

    def write_users(self, users: Iterable[UserWrite]) -> Written:
        """At most 1000 users' attributes, created or replaced."""
        request = _users_request(users)
        return messages.written(self._call(self._stubs.ingestion.WriteUsers, request))

    def status(self) -> Status:
        """What the server says of itself."""
        return messages.status(self._call(self._stubs.status.GetStatus, status_service_pb2.GetStatusRequest()))

    def _call(self, call: Any, request: Any) -> Any:
        try:
            return call(request, **self._stubs.call)
        except grpc.RpcError as error:
            raise error_of(error) from None
        except ValueError:
            if self._closed:
                raise ClientClosed(_CLOSED) from None
            raise


class AsyncClient:
    """The same for asyncio: use it as an async context manager, or close it."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        token: str = "",
        deadline_s: float = DEFAULT_DEADLINE_S,
        tls_authority: Path | None = None,
    ) -> None:
        _check(address, token, deadline_s)
        credentials = _credentials(tls_authority)
        self._closed = False
        self._channel = (
            grpc.aio.secure_channel(address, credentials, _OPTIONS)
            if credentials
            else grpc.aio.insecure_channel(address, _OPTIONS)
        )
        self._stubs = _Stubs(self._channel, token, deadline_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connection back."""
        self._closed = True
        await self._channel.close()

    async def recommend_items(self, max_items: int = 10, **asked: Unpack[ItemsAsked]) -> Slate:
        """A personalised slate."""
        request = _items_request(max_items, asked)
        return messages.slate(await self._call(self._stubs.recommender.RecommendItems, request))

    async def recommend_similar_items(
        self,
        item_id: str,
        max_items: int = 10,
        conditions: Sequence[Condition] = (),
        excluded: Sequence[str] = (),
        placement: str = "",
        tenant: str = "",
        **who: Unpack[Asking],
    ) -> Slate:
        """Items like a given one; without what the user who asks has hidden."""
        request = _similar_items_request(item_id, max_items, conditions, excluded, placement, tenant, who)
        return messages.slate(await self._call(self._stubs.recommender.RecommendSimilarItems, request))

    async def recommend_similar_users(self, user_id: str, max_users: int = 10, tenant: str = "") -> SimilarUsers:
        """Users like a given one."""
        request = _similar_users_request(user_id, max_users, tenant)
        return messages.similar_users(await self._call(self._stubs.recommender.RecommendSimilarUsers, request))

    async def write_events(self, events: Iterable[EventWrite]) -> Written:
        """At most 1000 events, in the order they happened."""
        request = _events_request(events)
        return messages.written(await self._call(self._stubs.ingestion.WriteEvents, request))

    async def stream_events(
        self,
        batches: Iterable[Iterable[EventWrite]] | AsyncIterable[Iterable[EventWrite]],
        patience_s: float = STREAM_PATIENCE_S,
    ) -> AsyncIterator[Written]:
        """See Client.stream_events; the batches may come from an asynchronous iterator."""
        call, metadata = self._stubs.ingestion.StreamEvents, self._stubs.call["metadata"]
        answers = stream_async(lambda: call(metadata=metadata), batches, _stream_request, patience_s)
        async with contextlib.aclosing(answers):
            async for answer in answers:
                yield messages.written(answer)

    async def merge_identities(
        self, into_user_id: str, *, anonymous_id: str = "", device_id: str = "", user_id: str = "", tenant: str = ""
    ) -> Merged:
        """Join an anonymous session, a device or another user to a user; a repeat changes nothing."""
        request = _merge_request(into_user_id, anonymous_id, device_id, user_id, tenant)
        return messages.merged(await self._call(self._stubs.ingestion.MergeIdentities, request))

    async def write_items(self, items: Iterable[ItemWrite]) -> Written:
        """At most 1000 items, created or replaced."""
        request = _write_items_request(items)
        return messages.written(await self._call(self._stubs.ingestion.WriteItems, request))

    async def write_users(self, users: Iterable[UserWrite]) -> Written:
        """At most 1000 users' attributes, created or replaced."""
        request = _users_request(users)
        return messages.written(await self._call(self._stubs.ingestion.WriteUsers, request))

    async def status(self) -> Status:
        """What the server says of itself."""
        return messages.status(await self._call(self._stubs.status.GetStatus, status_service_pb2.GetStatusRequest()))

    async def _call(self, call: Any, request: Any) -> Any:
        try:
            return await call(request, **self._stubs.call)
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None
        except (grpc.aio.UsageError, asyncio.CancelledError):
            # Closing cancels the calls under way, not the task that made them.
            task = asyncio.current_task()
            if self._closed and not (task and task.cancelling()):
                raise ClientClosed(_CLOSED) from None
            raise


def _similar_users_request(
    user_id: str, max_users: int, tenant: str
) -> recommender_service_pb2.RecommendSimilarUsersRequest:
    values = {"user_id": user_id, "max_users": max_users, "tenant": tenant}
    return build(recommender_service_pb2.RecommendSimilarUsersRequest, "", values)


def _events_request(events: Iterable[EventWrite]) -> ingestion_service_pb2.WriteEventsRequest:
    return ingestion_service_pb2.WriteEventsRequest(events=messages.batch("events", EventWrite, messages.event, events))


def _merge_request(
    into_user_id: str, anonymous_id: str, device_id: str, user_id: str, tenant: str
) -> ingestion_service_pb2.MergeIdentitiesRequest:
    given = {"anonymous_id": anonymous_id, "device_id": device_id, "user_id": user_id}
    chosen = {name: value for name, value in given.items() if value != ""}
    if len(chosen) != 1:
        raise InvalidArgument("from", f"holds {', '.join(chosen) or 'nothing'}, give one of {', '.join(given)}")
    merge = build(event_pb2.IdentityMerge, "", {"tenant": tenant, "into_user_id": into_user_id, **chosen})
    return ingestion_service_pb2.MergeIdentitiesRequest(merge=merge)


def _stream_request(events: Iterable[EventWrite]) -> ingestion_service_pb2.StreamEventsRequest:
    return ingestion_service_pb2.StreamEventsRequest(
        events=messages.batch("events", EventWrite, messages.event, events)
    )


def _write_items_request(items: Iterable[ItemWrite]) -> ingestion_service_pb2.WriteItemsRequest:
    return ingestion_service_pb2.WriteItemsRequest(items=messages.batch("items", ItemWrite, messages.item, items))


def _users_request(users: Iterable[UserWrite]) -> ingestion_service_pb2.WriteUsersRequest:
    return ingestion_service_pb2.WriteUsersRequest(users=messages.batch("users", UserWrite, messages.user, users))


def _check(address: str, token: str, deadline_s: float) -> None:
    """Raises InvalidArgument for what gRPC would trip over, or take for no deadline."""
    if not isinstance(address, str) or not address.isprintable() or not address:
        raise refused("address", address, "it must be HOST:PORT")
    check_token(token)
    check_deadline(deadline_s)


def check_token(token: str) -> None:
    """Raises InvalidArgument for what an HTTP header cannot carry; the token is not in the message."""
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise InvalidArgument("token", "holds what a header cannot carry, it must be printable ASCII")


def check_deadline(deadline_s: float) -> None:
    """Raises InvalidArgument for no time, or none that ends."""
    if not isinstance(deadline_s, int | float) or not 0 < deadline_s <= MAX_DEADLINE_S:
        raise refused("deadline_s", deadline_s, f"it must be above 0 and at most {MAX_DEADLINE_S} seconds")


def _credentials(authority: Path | None) -> grpc.ChannelCredentials | None:
    if authority is None:
        return None
    try:
        pem = authority.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise ConfigError(f"{authority} holds no certificate: give the PEM of the authority") from None
    except OSError as error:
        raise ConfigError(f"{authority} cannot be read ({error.strerror}): give the PEM of the authority") from None
    return grpc.ssl_channel_credentials(pem)
