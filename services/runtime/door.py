"""The door of a server: tokens are checked, bytes become messages, errors become codes, calls are counted."""

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc

from penchant.errors import InvalidArgument, PenchantError
from services.runtime.logs import logger
from services.runtime.metrics import CallMetrics
from services.runtime.wire_errors import code_of, trailing_metadata

_log = logger("door")
_OPEN = "/grpc.health.v1.Health/"
_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
Context = grpc.aio.ServicerContext[Any, Any]


class DoorInterceptor(grpc.aio.ServerInterceptor):
    """Stands before every method of a server. Health checks pass without a token."""

    def __init__(self, token: str, metrics: CallMetrics) -> None:
        self._expected = f"Bearer {token}".encode() if token else b""
        self._metrics = metrics
        self._wrapped: dict[str, tuple[Any, Any]] = {}
        self._streams: set[asyncio.Task[Any]] = set()
        self._draining = False

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The method's handler behind the door; None for a method that is not served."""
        method: str = handler_call_details.method
        if self._expected and not method.startswith(_OPEN) and not self._authorised(handler_call_details):
            return _REFUSED
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, self._wrap(method, handler))
        return known[1]

    def end_streams(self) -> None:
        """End every running response stream with UNAVAILABLE: clients connect again, elsewhere."""
        self._draining = True
        for task in list(self._streams):
            task.cancel()

    def _authorised(self, details: grpc.HandlerCallDetails) -> bool:
        given = next((value for name, value in details.invocation_metadata or () if name == "authorization"), "")
        return hmac.compare_digest(given.encode() if isinstance(given, str) else given, self._expected)

    def _wrap(self, method: str, handler: Any) -> Any:
        parse = handler.request_deserializer
        if handler.unary_unary is not None:
            unary = self._unary(method, handler.unary_unary, parse)
            return grpc.unary_unary_rpc_method_handler(unary, None, handler.response_serializer)
        if handler.unary_stream is not None:
            stream = self._stream(method, handler.unary_stream, parse, _parsed)
            return grpc.unary_stream_rpc_method_handler(stream, None, handler.response_serializer)
        if handler.stream_stream is not None:
            both = self._stream(method, handler.stream_stream, parse, _parsed_each)
            return grpc.stream_stream_rpc_method_handler(both, None, handler.response_serializer)
        return handler

    def _unary(self, method: str, inner: Any, parse: Any) -> Callable[[bytes, Context], Awaitable[Any]]:
        async def answer(data: bytes, context: Context) -> Any:
            started = time.perf_counter()
            self._metrics.started()
            code = "CANCELLED"
            try:
                left = context.time_remaining()
                if left is not None and left <= 0:
                    # It waited behind others until its caller had gone: work for nobody would make the next ones late.
                    await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the call began")
                response = await inner(_parsed(data, parse), context)
                code = "OK"
                return response
            except grpc.aio.AbortError:
                code = _name(context.code())
                raise
            except Exception as error:
                failure = _failure(method, error)
                code = failure.code.name
                await context.abort(failure.code, failure.text, failure.trailing)
            finally:
                self._metrics.finished(method, code, time.perf_counter() - started)

        return answer

    def _stream(
        self, method: str, inner: Any, parse: Any, parsed: Callable[[Any, Any], Any]
    ) -> Callable[[Any, Context], Awaitable[None]]:
        async def answer(data: Any, context: Context) -> None:
            started = time.perf_counter()
            self._metrics.started()
            code = "CANCELLED"
            task = asyncio.current_task()
            assert task is not None
            self._streams.add(task)
            try:
                responses = inner(parsed(data, parse), context)
                if hasattr(responses, "__aiter__"):
                    async with contextlib.aclosing(responses):
                        async for response in responses:
                            await context.write(response)
                else:
                    await responses
                code = "OK"
            except asyncio.CancelledError:
                if not self._draining:
                    raise
                code = "UNAVAILABLE"
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is stopping: connect again")
            except grpc.aio.AbortError:
                code = _name(context.code())
                raise
            except Exception as error:
                failure = _failure(method, error)
                code = failure.code.name
                await context.abort(failure.code, failure.text, failure.trailing)
            finally:
                self._streams.discard(task)
                self._metrics.finished(method, code, time.perf_counter() - started)

        return answer


def _parsed(data: bytes, parse: Callable[[bytes], Any] | None) -> Any:
    if parse is None:
        return data
    try:
        return parse(data)
    except Exception as error:
        raise InvalidArgument("request", f"the bytes are no message of this method ({error})") from None


async def _parsed_each(messages: AsyncIterator[bytes], parse: Callable[[bytes], Any] | None) -> AsyncIterator[Any]:
    async for data in messages:
        yield _parsed(data, parse)


@dataclass(frozen=True, slots=True)
class _Failure:
    """What a caller is told. Callers see no traceback; the log does."""

    code: grpc.StatusCode
    text: str
    trailing: tuple[tuple[str, bytes], ...] = ()


def _failure(method: str, error: Exception) -> _Failure:
    if isinstance(error, PenchantError):
        failure = _Failure(code_of(error), str(error), trailing_metadata(error))
        if failure.code is grpc.StatusCode.INTERNAL:
            _log.error("call failed", method=method, error=failure.text)
        return failure
    _log.error("call failed", method=method, error=repr(error), exc_info=error)
    return _Failure(grpc.StatusCode.INTERNAL, "internal error: see the server's log")


def _name(code: Any) -> str:
    return code.name if isinstance(code, grpc.StatusCode) else _CODE_NAMES.get(code, "UNKNOWN")


async def _refuse(request: bytes, context: Context) -> NoReturn:
    await context.abort(
        grpc.StatusCode.UNAUTHENTICATED, 'a token is needed: send the metadata "authorization: Bearer <token>"'
    )
    raise AssertionError


_REFUSED: Any = grpc.unary_unary_rpc_method_handler(_refuse)
