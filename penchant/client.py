"""A typed client of the front door, blocking and asyncio. It speaks only gRPC and raises only penchant.errors."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import grpc

from penchant import messages, requests
from penchant.answers import Merged, SimilarUsers, Slate, Status, Written
from penchant.errors import ClientClosed, ConfigError, InvalidArgument
from penchant.event_stream import stream, stream_async
from penchant.fields import refused
from penchant.leaves import Condition
from penchant.requests import Asking, ItemsAsked
from penchant.rpc_errors import error_of
from penchant.v1 import status_service_pb2
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
        request = requests.items_request(max_items, asked)
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
        request = requests.similar_items_request(item_id, max_items, conditions, excluded, placement, tenant, who)
        return messages.slate(self._call(self._stubs.recommender.RecommendSimilarItems, request))

    def recommend_similar_users(self, user_id: str, max_users: int = 10, tenant: str = "") -> SimilarUsers:
        """Users like a given one."""
        request = requests.similar_users_request(user_id, max_users, tenant)
        return messages.similar_users(self._call(self._stubs.recommender.RecommendSimilarUsers, request))

    def write_events(self, events: Iterable[EventWrite]) -> Written:
        """At most 1000 events, in the order they happened."""
        request = requests.events_request(events)
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
            answers = stream(lambda sent: call(sent, metadata=metadata), batches, requests.stream_request, patience_s)
            yield from map(messages.written, answers)
        except ValueError:
            if self._closed:
                raise ClientClosed(_CLOSED) from None
            raise

    def merge_identities(
        self, into_user_id: str, *, anonymous_id: str = "", device_id: str = "", user_id: str = "", tenant: str = ""
    ) -> Merged:
        """Join an anonymous session, a device or another user to a user; a repeat changes nothing."""
        request = requests.merge_request(into_user_id, anonymous_id, device_id, user_id, tenant)
        return messages.merged(self._call(self._stubs.ingestion.MergeIdentities, request))

    def write_items(self, items: Iterable[ItemWrite]) -> Written:
        """At most 1000 items, created or replaced."""
        request = requests.write_items_request(items)
        return messages.written(self._call(self._stubs.ingestion.WriteItems, request))

    def write_users(self, users: Iterable[UserWrite]) -> Written:
        """At most 1000 users' attributes, created or replaced."""
        request = requests.users_request(users)
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
        request = requests.items_request(max_items, asked)
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
        request = requests.similar_items_request(item_id, max_items, conditions, excluded, placement, tenant, who)
        return messages.slate(await self._call(self._stubs.recommender.RecommendSimilarItems, request))

    async def recommend_similar_users(self, user_id: str, max_users: int = 10, tenant: str = "") -> SimilarUsers:
        """Users like a given one."""
        request = requests.similar_users_request(user_id, max_users, tenant)
        return messages.similar_users(await self._call(self._stubs.recommender.RecommendSimilarUsers, request))

    async def write_events(self, events: Iterable[EventWrite]) -> Written:
        """At most 1000 events, in the order they happened."""
        request = requests.events_request(events)
        return messages.written(await self._call(self._stubs.ingestion.WriteEvents, request))

    async def stream_events(
        self,
        batches: Iterable[Iterable[EventWrite]] | AsyncIterable[Iterable[EventWrite]],
        patience_s: float = STREAM_PATIENCE_S,
    ) -> AsyncIterator[Written]:
        """See Client.stream_events; the batches may come from an asynchronous iterator."""
        call, metadata = self._stubs.ingestion.StreamEvents, self._stubs.call["metadata"]
        answers = stream_async(lambda: call(metadata=metadata), batches, requests.stream_request, patience_s)
        async with contextlib.aclosing(answers):
            async for answer in answers:
                yield messages.written(answer)

    async def merge_identities(
        self, into_user_id: str, *, anonymous_id: str = "", device_id: str = "", user_id: str = "", tenant: str = ""
    ) -> Merged:
        """Join an anonymous session, a device or another user to a user; a repeat changes nothing."""
        request = requests.merge_request(into_user_id, anonymous_id, device_id, user_id, tenant)
        return messages.merged(await self._call(self._stubs.ingestion.MergeIdentities, request))

    async def write_items(self, items: Iterable[ItemWrite]) -> Written:
        """At most 1000 items, created or replaced."""
        request = requests.write_items_request(items)
        return messages.written(await self._call(self._stubs.ingestion.WriteItems, request))

    async def write_users(self, users: Iterable[UserWrite]) -> Written:
        """At most 1000 users' attributes, created or replaced."""
        request = requests.users_request(users)
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
