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


def error_of(code: grpc.StatusCode, text: str, trailing: Iterable[tuple[str, str | bytes]]) -> PenchantError:
    """The error the server raised, as far as it said; else ServiceUnavailable with the code's name as its reason."""
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in _details(trailing):
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
    return kind(text) if kind else ServiceUnavailable(f"{code.name}: {text}", code.name)


def _details(trailing: Iterable[tuple[str, str | bytes]]) -> Iterable[Any]:
    packed = next((value for name, value in trailing if name == DETAILS), b"")
    status = status_pb2.Status()
    if isinstance(packed, bytes):
        try:
            status.ParseFromString(packed)
        except DecodeError:
            return []
    return list(status.details)
