from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FeatureStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEATURE_STATUS_UNSPECIFIED: _ClassVar[FeatureStatus]
    FEATURE_STATUS_PRESENT: _ClassVar[FeatureStatus]
    FEATURE_STATUS_NULL: _ClassVar[FeatureStatus]
    FEATURE_STATUS_NOT_FOUND: _ClassVar[FeatureStatus]
    FEATURE_STATUS_OUTSIDE_MAX_AGE: _ClassVar[FeatureStatus]
FEATURE_STATUS_UNSPECIFIED: FeatureStatus
FEATURE_STATUS_PRESENT: FeatureStatus
FEATURE_STATUS_NULL: FeatureStatus
FEATURE_STATUS_NOT_FOUND: FeatureStatus
FEATURE_STATUS_OUTSIDE_MAX_AGE: FeatureStatus

class UserState(_message.Message):
    __slots__ = ("user_key", "status", "history_keys", "history_times", "history_types", "history_values", "seen_keys", "hidden_keys", "dense", "applied_position", "merged_from", "lowered_keys", "lowered_times", "lowered_types", "texts", "text_times")
    USER_KEY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_KEYS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_TIMES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_TYPES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_VALUES_FIELD_NUMBER: _ClassVar[int]
    SEEN_KEYS_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_KEYS_FIELD_NUMBER: _ClassVar[int]
    DENSE_FIELD_NUMBER: _ClassVar[int]
    APPLIED_POSITION_FIELD_NUMBER: _ClassVar[int]
    MERGED_FROM_FIELD_NUMBER: _ClassVar[int]
    LOWERED_KEYS_FIELD_NUMBER: _ClassVar[int]
    LOWERED_TIMES_FIELD_NUMBER: _ClassVar[int]
    LOWERED_TYPES_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    TEXT_TIMES_FIELD_NUMBER: _ClassVar[int]
    user_key: int
    status: FeatureStatus
    history_keys: bytes
    history_times: bytes
    history_types: bytes
    history_values: bytes
    seen_keys: bytes
    hidden_keys: bytes
    dense: bytes
    applied_position: int
    merged_from: int
    lowered_keys: bytes
    lowered_times: bytes
    lowered_types: bytes
    texts: _containers.RepeatedScalarFieldContainer[str]
    text_times: bytes
    def __init__(self, user_key: _Optional[int] = ..., status: _Optional[_Union[FeatureStatus, str]] = ..., history_keys: _Optional[bytes] = ..., history_times: _Optional[bytes] = ..., history_types: _Optional[bytes] = ..., history_values: _Optional[bytes] = ..., seen_keys: _Optional[bytes] = ..., hidden_keys: _Optional[bytes] = ..., dense: _Optional[bytes] = ..., applied_position: _Optional[int] = ..., merged_from: _Optional[int] = ..., lowered_keys: _Optional[bytes] = ..., lowered_times: _Optional[bytes] = ..., lowered_types: _Optional[bytes] = ..., texts: _Optional[_Iterable[str]] = ..., text_times: _Optional[bytes] = ...) -> None: ...

class ItemChange(_message.Message):
    __slots__ = ("position", "item_key", "item_id", "deleted", "available", "attributes_json", "created_us")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ITEM_KEY_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_JSON_FIELD_NUMBER: _ClassVar[int]
    CREATED_US_FIELD_NUMBER: _ClassVar[int]
    position: int
    item_key: int
    item_id: str
    deleted: bool
    available: bool
    attributes_json: str
    created_us: int
    def __init__(self, position: _Optional[int] = ..., item_key: _Optional[int] = ..., item_id: _Optional[str] = ..., deleted: _Optional[bool] = ..., available: _Optional[bool] = ..., attributes_json: _Optional[str] = ..., created_us: _Optional[int] = ...) -> None: ...
