from penchant.v1 import candidate_pb2 as _candidate_pb2
from penchant.v1 import feature_pb2 as _feature_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RankCandidatesRequest(_message.Message):
    __slots__ = ("bundle_version", "user", "candidates", "as_of_us", "return_features")
    BUNDLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    RETURN_FEATURES_FIELD_NUMBER: _ClassVar[int]
    bundle_version: str
    user: _feature_pb2.UserState
    candidates: _candidate_pb2.CandidateBlock
    as_of_us: int
    return_features: bool
    def __init__(self, bundle_version: _Optional[str] = ..., user: _Optional[_Union[_feature_pb2.UserState, _Mapping]] = ..., candidates: _Optional[_Union[_candidate_pb2.CandidateBlock, _Mapping]] = ..., as_of_us: _Optional[int] = ..., return_features: _Optional[bool] = ...) -> None: ...

class RankCandidatesResponse(_message.Message):
    __slots__ = ("scores", "tasks", "features", "item_table_position")
    SCORES_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ITEM_TABLE_POSITION_FIELD_NUMBER: _ClassVar[int]
    scores: bytes
    tasks: _containers.RepeatedScalarFieldContainer[str]
    features: bytes
    item_table_position: int
    def __init__(self, scores: _Optional[bytes] = ..., tasks: _Optional[_Iterable[str]] = ..., features: _Optional[bytes] = ..., item_table_position: _Optional[int] = ...) -> None: ...
