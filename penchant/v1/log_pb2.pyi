import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penchant.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogRecord(_message.Message):
    __slots__ = ("schema_version", "key_id", "event", "item", "user", "merge", "ingest_time")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    INGEST_TIME_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    key_id: str
    event: _event_pb2.Event
    item: _event_pb2.Item
    user: _event_pb2.User
    merge: _event_pb2.IdentityMerge
    ingest_time: _timestamp_pb2.Timestamp
    def __init__(self, schema_version: _Optional[int] = ..., key_id: _Optional[str] = ..., event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ..., item: _Optional[_Union[_event_pb2.Item, _Mapping]] = ..., user: _Optional[_Union[_event_pb2.User, _Mapping]] = ..., merge: _Optional[_Union[_event_pb2.IdentityMerge, _Mapping]] = ..., ingest_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExposureRecord(_message.Message):
    __slots__ = ("schema_version", "key_id", "recommendation_id", "as_of_us", "tenant", "user_key", "session_id", "placement", "item_keys", "scores", "propensities", "source_bits", "source_names", "features", "bundle", "policy", "arm", "item_table_position", "events_applied_through", "degraded_stages", "context", "schema_fingerprint")
    class ContextEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_KEY_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    ITEM_KEYS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    PROPENSITIES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_BITS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_NAMES_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    ITEM_TABLE_POSITION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_APPLIED_THROUGH_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_STAGES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    key_id: str
    recommendation_id: str
    as_of_us: int
    tenant: str
    user_key: int
    session_id: str
    placement: str
    item_keys: bytes
    scores: bytes
    propensities: bytes
    source_bits: bytes
    source_names: _containers.RepeatedScalarFieldContainer[str]
    features: bytes
    bundle: str
    policy: str
    arm: str
    item_table_position: int
    events_applied_through: int
    degraded_stages: _containers.RepeatedScalarFieldContainer[str]
    context: _containers.ScalarMap[str, str]
    schema_fingerprint: str
    def __init__(self, schema_version: _Optional[int] = ..., key_id: _Optional[str] = ..., recommendation_id: _Optional[str] = ..., as_of_us: _Optional[int] = ..., tenant: _Optional[str] = ..., user_key: _Optional[int] = ..., session_id: _Optional[str] = ..., placement: _Optional[str] = ..., item_keys: _Optional[bytes] = ..., scores: _Optional[bytes] = ..., propensities: _Optional[bytes] = ..., source_bits: _Optional[bytes] = ..., source_names: _Optional[_Iterable[str]] = ..., features: _Optional[bytes] = ..., bundle: _Optional[str] = ..., policy: _Optional[str] = ..., arm: _Optional[str] = ..., item_table_position: _Optional[int] = ..., events_applied_through: _Optional[int] = ..., degraded_stages: _Optional[_Iterable[str]] = ..., context: _Optional[_Mapping[str, str]] = ..., schema_fingerprint: _Optional[str] = ...) -> None: ...
