"""Errors on the wire: canonical codes with google.rpc details, there and back."""

import re

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from penchant.errors import (
    BundleError,
    BundleMismatch,
    InvalidArgument,
    LogError,
    Overloaded,
    PenchantError,
    ServiceUnavailable,
    StoreUnavailable,
    UnknownBundle,
)

DOMAIN = "penchant"
DETAILS = "grpc-status-details-bin"
_CODES: tuple[tuple[type[PenchantError], grpc.StatusCode], ...] = (
    (InvalidArgument, grpc.StatusCode.INVALID_ARGUMENT),
    (BundleError, grpc.StatusCode.FAILED_PRECONDITION),
    (StoreUnavailable, grpc.StatusCode.UNAVAILABLE),
    (ServiceUnavailable, grpc.StatusCode.UNAVAILABLE),
    (LogError, grpc.StatusCode.UNAVAILABLE),
    (Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
)
_BY_REASON: dict[str, type[PenchantError]] = {}


def reason_of(kind: type[PenchantError]) -> str:
    """ErrorInfo.reason of an error class: UnknownBundle is UNKNOWN_BUNDLE."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).upper()


for _kind in (InvalidArgument, BundleMismatch, UnknownBundle, StoreUnavailable, ServiceUnavailable, Overloaded):
    _BY_REASON[reason_of(_kind)] = _kind


def code_of(error: PenchantError) -> grpc.StatusCode:
    """The canonical code; INTERNAL for what a caller cannot act on."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def trailing_metadata(error: PenchantError) -> tuple[tuple[str, bytes], ...]:
    """google.rpc.Status in the trailing metadata: ErrorInfo, and BadRequest or RetryInfo where they apply."""
    info = error_details_pb2.ErrorInfo(reason=reason_of(type(error)), domain=DOMAIN)
    status = status_pb2.Status(code=code_of(error).value[0], message=str(error))
    if isinstance(error, InvalidArgument):
        info.metadata["field"] = error.field
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.reason)
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, Overloaded):
        delay = Duration()
        delay.FromMilliseconds(error.retry_delay_ms)
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    status.details.add().Pack(info)
    return ((DETAILS, status.SerializeToString()),)


def error_of(error: grpc.aio.AioRpcError) -> PenchantError:
    """What a call to another service failed with, as this process would have raised it.

    A code without details of ours (a dead connection, a deadline, a missing token) is ServiceUnavailable with the
    code's name as its reason.
    """
    details = next((value for key, value in error.trailing_metadata() or () if key == DETAILS), b"")
    status = status_pb2.Status()
    try:
        status.ParseFromString(details if isinstance(details, bytes) else b"")
    except Exception:
        status.Clear()
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        for message in (info, bad, retry):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    message = error.details() or ""
    kind = _BY_REASON.get(info.reason) if info.domain == DOMAIN else None
    if kind is InvalidArgument:
        violation = bad.field_violations[0] if bad.field_violations else None
        return InvalidArgument(violation.field, violation.description) if violation else InvalidArgument("", message)
    if kind is Overloaded or error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Overloaded(message, retry.retry_delay.ToMilliseconds() or 100)
    if kind is None or kind is ServiceUnavailable:
        return ServiceUnavailable(f"{error.code().name}: {message}", error.code().name)
    return kind(message)
