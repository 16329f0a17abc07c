"""Errors on the wire: canonical codes with google.rpc details, there and back."""

import re

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from penchant.errors import (
    BundleError,
    InvalidArgument,
    LogError,
    Overloaded,
    PenchantError,
    ServiceUnavailable,
    StoreUnavailable,
)
from penchant.rpc_errors import DETAILS, DOMAIN, error_of

__all__ = ["DETAILS", "DOMAIN", "code_of", "error_of", "reason_of", "trailing_metadata"]

_CODES: tuple[tuple[type[PenchantError], grpc.StatusCode], ...] = (
    (InvalidArgument, grpc.StatusCode.INVALID_ARGUMENT),
    (BundleError, grpc.StatusCode.FAILED_PRECONDITION),
    (StoreUnavailable, grpc.StatusCode.UNAVAILABLE),
    (ServiceUnavailable, grpc.StatusCode.UNAVAILABLE),
    (LogError, grpc.StatusCode.UNAVAILABLE),
    (Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
)


def reason_of(kind: type[PenchantError]) -> str:
    """ErrorInfo.reason of an error class: UnknownBundle is UNKNOWN_BUNDLE."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).upper()


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
