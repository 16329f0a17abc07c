from penchant.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WriteEventsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ...) -> None: ...

class WriteEventsResponse(_message.Message):
    __slots__ = ("accepted", "rejections", "token")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    rejections: _containers.RepeatedCompositeFieldContainer[_event_pb2.Rejection]
    token: _event_pb2.WriteToken
    def __init__(self, accepted: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[_event_pb2.Rejection, _Mapping]]] = ..., token: _Optional[_Union[_event_pb2.WriteToken, _Mapping]] = ...) -> None: ...

class StreamEventsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ...) -> None: ...

class StreamEventsResponse(_message.Message):
    __slots__ = ("accepted", "rejections", "token")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    rejections: _containers.RepeatedCompositeFieldContainer[_event_pb2.Rejection]
    token: _event_pb2.WriteToken
    def __init__(self, accepted: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[_event_pb2.Rejection, _Mapping]]] = ..., token: _Optional[_Union[_event_pb2.WriteToken, _Mapping]] = ...) -> None: ...

class WriteItemsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_event_pb2.Item]
    def __init__(self, items: _Optional[_Iterable[_Union[_event_pb2.Item, _Mapping]]] = ...) -> None: ...

class WriteItemsResponse(_message.Message):
    __slots__ = ("accepted", "rejections", "item_table_position")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    ITEM_TABLE_POSITION_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    rejections: _containers.RepeatedCompositeFieldContainer[_event_pb2.Rejection]
    item_table_position: int
    def __init__(self, accepted: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[_event_pb2.Rejection, _Mapping]]] = ..., item_table_position: _Optional[int] = ...) -> None: ...

class WriteUsersRequest(_message.Message):
    __slots__ = ("users",)
    USERS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[_event_pb2.User]
    def __init__(self, users: _Optional[_Iterable[_Union[_event_pb2.User, _Mapping]]] = ...) -> None: ...

class WriteUsersResponse(_message.Message):
    __slots__ = ("accepted", "rejections")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    rejections: _containers.RepeatedCompositeFieldContainer[_event_pb2.Rejection]
    def __init__(self, accepted: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[_event_pb2.Rejection, _Mapping]]] = ...) -> None: ...

class MergeIdentitiesRequest(_message.Message):
    __slots__ = ("merge",)
    MERGE_FIELD_NUMBER: _ClassVar[int]
    merge: _event_pb2.IdentityMerge
    def __init__(self, merge: _Optional[_Union[_event_pb2.IdentityMerge, _Mapping]] = ...) -> None: ...

class MergeIdentitiesResponse(_message.Message):
    __slots__ = ("already_merged", "token")
    ALREADY_MERGED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    already_merged: bool
    token: _event_pb2.WriteToken
    def __init__(self, already_merged: _Optional[bool] = ..., token: _Optional[_Union[_event_pb2.WriteToken, _Mapping]] = ...) -> None: ...
