from penchant.v1 import feature_pb2 as _feature_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FetchFeaturesRequest(_message.Message):
    __slots__ = ("user_keys", "as_of_us", "feature_service", "entity_keys", "minimum_position")
    USER_KEYS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    FEATURE_SERVICE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KEYS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_POSITION_FIELD_NUMBER: _ClassVar[int]
    user_keys: _containers.RepeatedScalarFieldContainer[int]
    as_of_us: int
    feature_service: str
    entity_keys: _containers.RepeatedScalarFieldContainer[int]
    minimum_position: int
    def __init__(self, user_keys: _Optional[_Iterable[int]] = ..., as_of_us: _Optional[int] = ..., feature_service: _Optional[str] = ..., entity_keys: _Optional[_Iterable[int]] = ..., minimum_position: _Optional[int] = ...) -> None: ...

class FetchFeaturesResponse(_message.Message):
    __slots__ = ("users", "columns", "events_applied_through", "item_table_position")
    USERS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_APPLIED_THROUGH_FIELD_NUMBER: _ClassVar[int]
    ITEM_TABLE_POSITION_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[_feature_pb2.UserState]
    columns: _containers.RepeatedCompositeFieldContainer[FeatureColumn]
    events_applied_through: int
    item_table_position: int
    def __init__(self, users: _Optional[_Iterable[_Union[_feature_pb2.UserState, _Mapping]]] = ..., columns: _Optional[_Iterable[_Union[FeatureColumn, _Mapping]]] = ..., events_applied_through: _Optional[int] = ..., item_table_position: _Optional[int] = ...) -> None: ...

class FeatureColumn(_message.Message):
    __slots__ = ("name", "dtype", "values", "offsets", "statuses")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: str
    values: bytes
    offsets: bytes
    statuses: bytes
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[str] = ..., values: _Optional[bytes] = ..., offsets: _Optional[bytes] = ..., statuses: _Optional[bytes] = ...) -> None: ...

class WatchItemsRequest(_message.Message):
    __slots__ = ("from_position",)
    FROM_POSITION_FIELD_NUMBER: _ClassVar[int]
    from_position: int
    def __init__(self, from_position: _Optional[int] = ...) -> None: ...

class WatchItemsResponse(_message.Message):
    __slots__ = ("snapshot", "changes", "position")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    snapshot: bool
    changes: _containers.RepeatedCompositeFieldContainer[_feature_pb2.ItemChange]
    position: int
    def __init__(self, snapshot: _Optional[bool] = ..., changes: _Optional[_Iterable[_Union[_feature_pb2.ItemChange, _Mapping]]] = ..., position: _Optional[int] = ...) -> None: ...

class WatchTrendRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchTrendResponse(_message.Message):
    __slots__ = ("as_of_us", "item_keys", "weights")
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    ITEM_KEYS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    as_of_us: int
    item_keys: bytes
    weights: bytes
    def __init__(self, as_of_us: _Optional[int] = ..., item_keys: _Optional[bytes] = ..., weights: _Optional[bytes] = ...) -> None: ...
