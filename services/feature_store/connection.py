"""Pipelined connections to one Redis: bytes out, replies in, in order.

redis.asyncio costs more than the read itself (11k against 105k one-user reads a second), so this is a bare
asyncio.Protocol around hiredis. Cluster and sentinel are for the SDK store.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from penchant.errors import ConfigError, StoreUnavailable

Part = bytes | str | int
_MAX_WAITING = 10_000
"""Requests that one connection may owe an answer; beyond it Redis is taken for out."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is. path is a unix socket, then host and port do not count."""

    host: str
    port: int
    path: str
    username: str
    password: str
    database: int
    tls: bool

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """redis://[user:password@]host[:port][/db], rediss:// (TLS) or unix://[user:password@]/path[?db=n].

        Raises ConfigError for another form.
        """
        remedy = "write redis://host:port/db, rediss://host:port/db or unix:///path/to/socket?db=0"
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ConfigError(f"redis {url!r}: {remedy}")
        try:
            socket = parts.scheme == "unix"
            text = parse_qs(parts.query).get("db", ["0"])[0] if socket else parts.path.strip("/") or "0"
            return cls(
                parts.hostname or "127.0.0.1", parts.port or 6379, unquote(parts.path) if socket else "",
                unquote(parts.username or ""), unquote(parts.password or ""), int(text), parts.scheme == "rediss",
            )  # fmt: skip
        except ValueError as error:
            raise ConfigError(f"redis {url!r}: {error}: {remedy}") from None

    def __str__(self) -> str:
        where = f"unix://{self.path}" if self.path else f"{self.host}:{self.port}"
        return f"{where} (database {self.database})"


def command(*parts: Part) -> bytes:
    """One command in Redis' wire form."""
    raw = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"*%d\r\n" % len(raw) + b"".join(bulk(part) for part in raw)


def bulk(part: bytes) -> bytes:
    """One argument in Redis' wire form."""
    return b"$%d\r\n%b\r\n" % (len(part), part)


class _Wire(asyncio.Protocol):
    """One connection; replies are handed out in the order of the requests."""

    def __init__(self, replaces: int = 0) -> None:
        self.replaces = replaces
        """The client id of the connection whose place this one is to take; 0 for none."""
        self.used = False
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[int, list[Any], asyncio.Future[list[Any]]]] = deque()
        self._transport: asyncio.Transport | None = None
        self.client_id = 0
        """What Redis calls this connection."""

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio.Transport without being one.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(StoreUnavailable(f"Redis closed the connection ({exc or 'end of stream'})"))

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while self._waiting:
                count, replies, future = self._waiting[0]
                while len(replies) < count:
                    reply = self._reader.gets()
                    if reply is False:
                        return
                    replies.append(reply)
                self._waiting.popleft()
                if not future.done():
                    future.set_result(replies)
        except hiredis.HiredisError as error:
            self._fail(StoreUnavailable(f"what answers is no Redis ({error})"))
            self.close()

    def send(self, request: bytes, replies: int) -> asyncio.Future[list[Any]]:
        """Write commands; their replies, in order."""
        if self._transport is None or len(self._waiting) >= _MAX_WAITING:
            raise StoreUnavailable(f"Redis owes {len(self._waiting)} answers")
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((replies, [], future))
        self._transport.write(request)
        return future

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: StoreUnavailable) -> None:
        waiting, self._waiting = self._waiting, deque()
        for _, _, future in waiting:
            if not future.done():
                future.set_exception(error)


class RedisPool:
    """A few connections, opened on demand and again after they broke. Not thread-safe: one event loop uses it.

    The first is for what must happen in order: commands on it run in the order they were sent, also when an answer
    was given up on, and a new connection in its place first kills the old one, so that nothing it still had to do
    can happen late. Losing it is told once, with StoreUnavailable, before a new one is opened: Redis may come back
    with less than it was given.
    """

    def __init__(self, address: RedisAddress, connections: int = 2, timeout_s: float = 5.0) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._wires = [_Wire() for _ in range(connections)]
        self._opening = [asyncio.Lock() for _ in range(connections)]
        self._turn = cycle(range(1, connections) if connections > 1 else (0,))
        self._closed = False
        self.losses = 0
        """How often the connection that keeps order was lost."""
        self.connects = 0
        """How often any connection was made."""

    async def execute(
        self, request: bytes, replies: int, timeout_s: float | None = None, in_order: bool = False
    ) -> list[Any]:
        """Send commands on one connection; their replies in order. Raises StoreUnavailable.

        in_order: after everything that was sent in order before.
        """
        place = 0 if in_order else next(self._turn)
        limit = self._timeout_s if timeout_s is None else max(timeout_s, 0.001)
        try:
            async with asyncio.timeout(limit):
                wire = self._wires[place]
                if not wire.open:
                    if in_order and wire.used:
                        self._wires[place] = _Wire(replaces=wire.client_id)
                        self.losses += 1
                        raise StoreUnavailable(f"the connection to Redis at {self.address} was lost")
                    wire = await self._connect(place)
                found = await wire.send(request, replies)
        except TimeoutError:
            raise StoreUnavailable(f"Redis at {self.address} did not answer within {limit:.3g} s") from None
        except OSError as error:
            raise StoreUnavailable(f"Redis at {self.address} cannot be reached ({error}): start it") from None
        for reply in found:
            if isinstance(reply, hiredis.ReplyError):
                raise StoreUnavailable(f"Redis at {self.address} refused: {reply}")
        return found

    def close(self) -> None:
        """Drop all connections."""
        self._closed = True
        for wire in self._wires:
            wire.close()

    async def _connect(self, place: int) -> _Wire:
        async with self._opening[place]:
            wire = self._wires[place]
            if wire.open:
                return wire
            if self._closed:
                raise StoreUnavailable("the store was closed")
            loop = asyncio.get_running_loop()
            if self.address.path:
                _, wire = await loop.create_unix_connection(_Wire, self.address.path)
            else:
                context = ssl.create_default_context() if self.address.tls else None
                _, wire = await loop.create_connection(_Wire, self.address.host, self.address.port, ssl=context)
            before = self._wires[place]
            await self._greet(wire, before.client_id or before.replaces)
            wire.used = True
            self.connects += 1
            self._wires[place] = wire
            return wire

    async def _greet(self, wire: _Wire, replaced: int) -> None:
        greetings = []
        if self.address.password:
            named = [self.address.username] if self.address.username else []
            greetings.append(command("AUTH", *named, self.address.password))
        if self.address.database:
            greetings.append(command("SELECT", self.address.database))
        replies: Sequence[Any] = await wire.send(b"".join([*greetings, command("CLIENT", "ID")]), len(greetings) + 1)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                wire.close()
                raise StoreUnavailable(f"Redis at {self.address} refused the connection: {reply}")
        wire.client_id = replies[-1]
        if replaced:
            # Answers with an error where the old connection is gone already, as it should be.
            await wire.send(command("CLIENT", "KILL", "ID", replaced), 1)
