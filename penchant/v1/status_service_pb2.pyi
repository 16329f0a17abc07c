from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("service", "version", "bundle_versions", "policy_version", "item_table_position", "events_applied_through", "uptime_s", "metrics", "refused_bundle")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    ITEM_TABLE_POSITION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_APPLIED_THROUGH_FIELD_NUMBER: _ClassVar[int]
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_BUNDLE_FIELD_NUMBER: _ClassVar[int]
    service: str
    version: str
    bundle_versions: _containers.RepeatedScalarFieldContainer[str]
    policy_version: str
    item_table_position: int
    events_applied_through: int
    uptime_s: float
    metrics: _containers.ScalarMap[str, float]
    refused_bundle: str
    def __init__(self, service: _Optional[str] = ..., version: _Optional[str] = ..., bundle_versions: _Optional[_Iterable[str]] = ..., policy_version: _Optional[str] = ..., item_table_position: _Optional[int] = ..., events_applied_through: _Optional[int] = ..., uptime_s: _Optional[float] = ..., metrics: _Optional[_Mapping[str, float]] = ..., refused_bundle: _Optional[str] = ...) -> None: ...
