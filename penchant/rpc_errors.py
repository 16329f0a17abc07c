"""What a failed call becomes for whoever made it: the status and its google.rpc details back to an error of ours."""

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from penchant.errors import (
    BundleMismatch,
    InvalidArgument,
    Overloaded,
    PenchantError,
    ServiceUnavailable,
    StoreUnavailable,
    UnknownBundle,
)

DOMAIN = "penchant"
DETAILS = "grpc-status-details-bin"
_KINDS: dict[str, type[PenchantError]] = {
    "BUNDLE_MISMATCH": BundleMismatch,
    "UNKNOWN_BUNDLE": UnknownBundle,
    "STORE_UNAVAILABLE": StoreUnavailable,
}


def error_of(error: Any) -> PenchantError:
    """What a failed call (grpc.RpcError of either client) raised at the server, as far as the server said.

    A code without details of ours (a dead connection, a deadline, a missing token) is ServiceUnavailable with the
    code's name as its reason.
    """
    code: grpc.StatusCode = error.code()
    text: str = error.details() or ""
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in _details(error.trailing_metadata() or ()):
        for message in (info, bad, retry):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        if bad.field_violations:
            return InvalidArgument(bad.field_violations[0].field, bad.field_violations[0].description)
        return InvalidArgument("request", text)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Overloaded(text, retry.retry_delay.ToMilliseconds() or 100)
    kind = _KINDS.get(info.reason) if info.domain == DOMAIN else None
    if kind is not None:
        return kind(text)
    # Forwarded through another server it says so already.
    text = text if text.startswith(code.name) else f"{code.name}: {text}"
    return ServiceUnavailable(text, code.name, said=info.domain == DOMAIN)


def _details(trailing: Iterable[tuple[str, str | bytes]]) -> Iterable[Any]:
    packed = next((value for name, value in trailing if name == DETAILS), b"")
    status = status_pb2.Status()
    if isinstance(packed, bytes):
        try:
            status.ParseFromString(packed)
        except DecodeError:
            return []
    return list(status.details)
