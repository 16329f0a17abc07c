from penchant.v1 import candidate_pb2 as _candidate_pb2
from penchant.v1 import feature_pb2 as _feature_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RetrieveCandidatesRequest(_message.Message):
    __slots__ = ("bundle_version", "user", "max_candidates", "excluded_keys", "include_seen", "filter", "sources", "caller_keys", "similar_to_keys", "as_of_us", "similar_users")
    BUNDLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    MAX_CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_KEYS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SEEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    CALLER_KEYS_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_TO_KEYS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_USERS_FIELD_NUMBER: _ClassVar[int]
    bundle_version: str
    user: _feature_pb2.UserState
    max_candidates: int
    excluded_keys: bytes
    include_seen: bool
    filter: _candidate_pb2.ItemFilter
    sources: _containers.RepeatedScalarFieldContainer[str]
    caller_keys: bytes
    similar_to_keys: bytes
    as_of_us: int
    similar_users: bool
    def __init__(self, bundle_version: _Optional[str] = ..., user: _Optional[_Union[_feature_pb2.UserState, _Mapping]] = ..., max_candidates: _Optional[int] = ..., excluded_keys: _Optional[bytes] = ..., include_seen: _Optional[bool] = ..., filter: _Optional[_Union[_candidate_pb2.ItemFilter, _Mapping]] = ..., sources: _Optional[_Iterable[str]] = ..., caller_keys: _Optional[bytes] = ..., similar_to_keys: _Optional[bytes] = ..., as_of_us: _Optional[int] = ..., similar_users: _Optional[bool] = ...) -> None: ...

class RetrieveCandidatesResponse(_message.Message):
    __slots__ = ("candidates", "item_table_position", "degraded_sources", "similar_user_keys", "similar_user_scores")
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    ITEM_TABLE_POSITION_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_SOURCES_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_USER_KEYS_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_USER_SCORES_FIELD_NUMBER: _ClassVar[int]
    candidates: _candidate_pb2.CandidateBlock
    item_table_position: int
    degraded_sources: _containers.RepeatedScalarFieldContainer[str]
    similar_user_keys: bytes
    similar_user_scores: bytes
    def __init__(self, candidates: _Optional[_Union[_candidate_pb2.CandidateBlock, _Mapping]] = ..., item_table_position: _Optional[int] = ..., degraded_sources: _Optional[_Iterable[str]] = ..., similar_user_keys: _Optional[bytes] = ..., similar_user_scores: _Optional[bytes] = ...) -> None: ...
