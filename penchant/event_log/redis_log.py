"""An event log in a Redis stream: `<position>-0` is the id of a record, so positions have no gaps.

<stream>            the records, field "d"
{<stream>}:meta     epoch of the writer, position of the newest record, and up to where records were trimmed
{<stream>}:holds    who is done with what

Redis must keep what it acknowledged: appendonly yes, appendfsync always, maxmemory-policy noeviction. That is asked
when the log is opened, and after an append whose answer was lost. A writer takes over from the one before by raising
the epoch; each append names its epoch and is a script, so an older writer's append fails, and a batch is there whole or
not at all.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from penchant.errors import ConfigError, LogError, LogFenced, LogUnavailable
from penchant.event_log.protocol import Record
from penchant.event_log.rules import checked_name, refuse_beyond, refuse_needed, refuse_oversize, refuse_trimmed

_CHUNK = 1000
_BLOCK_S = 1.0
_NEEDED = {
    "appendonly": ("yes", "what it acknowledged is lost with the process"),
    "appendfsync": ("always", "what it acknowledged may not be on the disk"),
    "no-appendfsync-on-rewrite": ("no", "nothing is synced while the file is rewritten"),
    "maxmemory-policy": ("noeviction", "it may evict the log"),
}
_TAKE_OVER = """
local meta = redis.call('HMGET', KEYS[2], 'position', 'trimmed')
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if not meta[1] and #newest > 0 then return {0, newest[1][1], 0} end
if not meta[1] or (meta[1] == '0' and #newest == 0) then
  redis.call('HSET', KEYS[2], 'position', ARGV[1], 'trimmed', ARGV[1])
end
redis.call('HSET', KEYS[2], 'writer', ARGV[2])
return {redis.call('HINCRBY', KEYS[2], 'epoch', 1), redis.call('HGET', KEYS[2], 'position'),
        redis.call('HGET', KEYS[2], 'trimmed')}
"""
_APPEND = """
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[1] then return {0, redis.call('HGET', KEYS[2], 'epoch')} end
local position = redis.call('HGET', KEYS[2], 'position')
if position ~= ARGV[2] then return {-1, position} end
position = tonumber(position)
for i = 3, #ARGV do
  position = position + 1
  redis.call('XADD', KEYS[1], string.format('%.0f-0', position), 'd', ARGV[i])
end
redis.call('HSET', KEYS[2], 'position', string.format('%.0f', position))
return {1, position}
"""
_RECOVER = """
local found = redis.call('HMGET', KEYS[2], 'writer', 'position', 'epoch')
if found[1] ~= ARGV[1] then return {0, found[3] or ''} end
return {redis.call('HINCRBY', KEYS[2], 'epoch', 1), found[2]}
"""
_TRIM = """
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[1] then return {0, redis.call('HGET', KEYS[2], 'epoch')} end
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[2] .. '-0')
redis.call('HSET', KEYS[2], 'trimmed', ARGV[3])
return {1, ARGV[3]}
"""
T = TypeVar("T")


class RedisLogReader:
    """LogReader over a stream."""

    timeout_s = 5.0
    """A Redis that answers later than this counts as out."""

    def __init__(self, url: str, name: str) -> None:
        address, stream, self._shown = parse(url)
        try:
            # On demand: whoever has files alone needs no client.
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise ConfigError("a redis:// log needs redis: pip install 'penchant[services]'") from None

        self._errors = redis.exceptions
        self.stream = f"{stream}:{name}"
        self._keys = [self.stream, f"{{{self.stream}}}:meta"]
        self._holds = f"{{{self.stream}}}:holds"
        # A command that was not answered may have been carried out: nothing is sent again by the client.
        self._redis = redis.Redis.from_url(
            address, socket_timeout=self.timeout_s, socket_connect_timeout=self.timeout_s, retry=Retry(NoBackoff(), 0)
        )
        self._ask(self._redis.ping)

    def __str__(self) -> str:
        return f"the stream {self.stream} of {self._shown}"

    def read(self, from_position: int = 1) -> Iterator[Record]:
        """See LogReader.read."""
        refuse_trimmed(self, from_position)
        refuse_beyond(self, from_position)
        newest = self.newest()
        at = max(from_position, 1)
        while at <= newest:
            found = self._ask(lambda: self._redis.xrange(self.stream, f"{at}-0", f"{newest}-0", _CHUNK))  # noqa: B023 - called at once
            for identifier, fields in found:
                if identifier != b"%d-0" % at:
                    break
                yield at, fields[b"d"]
                at += 1
            if not found or found[-1][0] != b"%d-0" % (at - 1):
                refuse_trimmed(self, at)
                raise LogError(f"{self} lacks record {at}, which nobody trimmed: restore Redis from a copy")

    def oldest(self) -> int:
        """See LogReader.oldest."""
        return self._meta("trimmed") + 1

    def newest(self) -> int:
        """See LogReader.newest."""
        return self._meta("position")

    def wait(self, position: int, timeout_s: float) -> bool:
        """See LogReader.wait."""
        ends = time.monotonic() + timeout_s
        while (left_s := ends - time.monotonic()) > 0:
            block_ms = max(1, int(1000 * min(left_s, _BLOCK_S)))
            if self._ask(lambda: self._redis.xread({self.stream: f"{position}-0"}, 1, block_ms)):  # noqa: B023 - called at once
                return True
        return False

    def hold(self, name: str, position: int) -> None:
        """See LogReader.hold."""
        checked_name(name)
        self._ask(lambda: self._redis.hset(self._holds, name, position))

    def held(self, name: str) -> int:
        """See LogReader.held."""
        checked_name(name)
        return int(self._ask(lambda: self._redis.hget(self._holds, name)) or 0)

    def close(self) -> None:
        """See LogReader.close."""
        self._redis.close()

    def _meta(self, field: str) -> int:
        return int(self._ask(lambda: self._redis.hget(self._keys[1], field)) or 0)

    def _ask(self, call: Callable[[], T]) -> T:
        """Raises LogUnavailable where it is not known what Redis did, LogError where it refused."""
        try:
            return call()
        except self._errors.AuthenticationError as error:
            raise LogError(f"{self} cannot be used ({error}): mend user and password in the log's URL") from None
        except (self._errors.ConnectionError, self._errors.TimeoutError, OSError) as error:
            raise LogUnavailable(f"{self} does not answer ({error}): start Redis, or mend the log's URL") from None
        except self._errors.RedisError as error:
            remedy = ": raise maxmemory, or let the log be trimmed" if "OOM" in str(error) else ""
            raise LogError(f"{self}: Redis refused: {error}{remedy}") from None


class RedisLog(RedisLogReader):
    """EventLog over a stream. Opening it takes over from the writer before."""

    def __init__(self, url: str, name: str, start: int = 0, written: Callable[[], None] = lambda: None) -> None:
        super().__init__(url, name)
        self._written = written
        self._closed = False
        self._writer = secrets.token_hex(8)
        """Known of itself also where the answer that told a new epoch was lost."""
        self._unknown = False
        """Whether an append was given up on: Redis may carry it out yet."""
        try:
            self._check_settings()
            self.epoch, position, trimmed = map(_number, self._script(_TAKE_OVER, start, self._writer))
            if not self.epoch:
                raise LogError(f"{self} has records and no {self._keys[1]}: restore Redis from a copy")
            self.position = position
            if position > trimmed and self._newest_id() != position:
                raise LogError(f"{self} ends before position {position}, which it acknowledged: restore it from a copy")
        except BaseException:
            self.close()
            raise

    def append(self, payloads: Sequence[bytes]) -> int:
        """See EventLog.append."""
        refuse_oversize(payloads)
        if self._closed:
            raise LogError(f"{self} takes no more records, because it was closed: open it again")
        if self._unknown:
            raise LogUnavailable(f"{self}: it is not known yet what the last append did")
        first = self.position + 1
        if not payloads:
            return first
        try:
            answer, said = self._script(_APPEND, self.epoch, self.position, *payloads)
        except LogUnavailable:
            self._unknown = True
            raise
        self._written()
        if answer == 0:
            raise self._fenced(said)
        if answer < 0:
            raise LogError(
                f"{self} is at position {_number(said)}, this writer at {self.position}: Redis came back with another "
                "log; restore the right one and start again"
            )
        self.position += len(payloads)
        return first

    def recover(self) -> None:
        """See EventLog.recover: with a new epoch, what is still on its way is refused when it arrives."""
        if not self._unknown:
            return
        self._check_settings()
        epoch, said = self._script(_RECOVER, self._writer)
        if not epoch:
            raise self._fenced(said)
        position = _number(said)
        if position < self.position:
            raise LogError(
                f"{self} came back at position {position} of {self.position}: restore it from a copy and start again"
            )
        self.epoch, self.position, self._unknown = epoch, position, False

    def trim_before(self, position: int, holders: Sequence[str]) -> int:
        """See EventLog.trim_before."""
        refuse_needed(self, position, holders)
        trimmed = max(min(position - 1, self.position), self.oldest() - 1)
        answer, said = self._script(_TRIM, self.epoch, trimmed + 1, trimmed)
        if not answer:
            raise self._fenced(said)
        return trimmed + 1

    def close(self) -> None:
        """See LogReader.close."""
        self._closed = True
        super().close()

    def _script(self, text: str, *arguments: bytes | str | int) -> list[Any]:
        return list(self._ask(lambda: self._redis.register_script(text)(self._keys, arguments)))

    def _newest_id(self) -> int:
        found = self._ask(lambda: self._redis.xrevrange(self.stream, count=1))
        return int(found[0][0].split(b"-")[0]) if found else 0

    def _fenced(self, epoch: bytes | None) -> LogError:
        if not epoch:
            return LogError(f"{self} is gone: restore Redis from a copy, and start again")
        return LogFenced(
            f"another process took {self} over (its epoch is {_number(epoch)}, this one's {self.epoch}): stop one of "
            "the two, or give this one a stream of its own"
        )

    def _check_settings(self) -> None:
        """Raise LogError where Redis would not keep what it acknowledges."""
        try:
            found = {name: self._ask(lambda: self._redis.config_get(name)) for name in _NEEDED}  # noqa: B023 - called at once
        except LogUnavailable:
            raise
        except LogError as error:
            raise LogError(
                f"{self}: whether Redis keeps what it acknowledges cannot be asked ({error}): allow its user CONFIG GET"
            ) from None
        for name, (needed, otherwise) in _NEEDED.items():
            given = found[name].get(name, needed)
            if given != needed:
                raise LogError(
                    f"{self} would not last: {name} is {given!r}, so {otherwise}; start Redis with --{name} {needed}, "
                    "or give the log an instance of its own"
                )


def parse(url: str) -> tuple[str, str, str]:
    """The server's URL, the stream's name, and the server as it may be shown. Raises ConfigError."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    stream = options.pop("stream", "penchant")
    unknown = sorted(set(options) - {"db"})
    place = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
    database = options.get("db", "0") if parts.scheme == "unix" or "db" in options else parts.path.strip("/") or "0"
    if unknown or not stream or not database.isdigit() or not (parts.hostname or parts.scheme == "unix"):
        raise ConfigError(
            f"log {parts.scheme}://{place}: {f'unknown option {unknown[0]!r}' if unknown else 'it names no stream'}: "
            "write redis://host:port/db?stream=name"
        )
    address = urlunsplit(parts._replace(query=urlencode(options)))
    return address, stream, f"{parts.scheme}://{place} (database {database})"


def _number(text: bytes | int) -> int:
    return int(text.split(b"-")[0]) if isinstance(text, bytes) else int(text)
