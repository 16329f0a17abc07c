import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penchant.v1 import candidate_pb2 as _candidate_pb2
from penchant.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Ranking(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RANKING_UNSPECIFIED: _ClassVar[Ranking]
    RANKING_MODEL: _ClassVar[Ranking]
    RANKING_RETRIEVAL: _ClassVar[Ranking]
RANKING_UNSPECIFIED: Ranking
RANKING_MODEL: Ranking
RANKING_RETRIEVAL: Ranking

class RecommendItemsRequest(_message.Message):
    __slots__ = ("placement", "tenant", "user_id", "anonymous_id", "device_id", "session_id", "max_items", "filter", "excluded_item_ids", "candidate_item_ids", "context", "include_seen", "token", "as_of", "ranking", "sources", "time_zone")
    class ContextEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SEEN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    RANKING_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    placement: str
    tenant: str
    user_id: str
    anonymous_id: str
    device_id: str
    session_id: str
    max_items: int
    filter: _candidate_pb2.ItemFilter
    excluded_item_ids: _containers.RepeatedScalarFieldContainer[str]
    candidate_item_ids: _containers.RepeatedScalarFieldContainer[str]
    context: _containers.ScalarMap[str, str]
    include_seen: bool
    token: _event_pb2.WriteToken
    as_of: _timestamp_pb2.Timestamp
    ranking: Ranking
    sources: _containers.RepeatedScalarFieldContainer[str]
    time_zone: str
    def __init__(self, placement: _Optional[str] = ..., tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., anonymous_id: _Optional[str] = ..., device_id: _Optional[str] = ..., session_id: _Optional[str] = ..., max_items: _Optional[int] = ..., filter: _Optional[_Union[_candidate_pb2.ItemFilter, _Mapping]] = ..., excluded_item_ids: _Optional[_Iterable[str]] = ..., candidate_item_ids: _Optional[_Iterable[str]] = ..., context: _Optional[_Mapping[str, str]] = ..., include_seen: _Optional[bool] = ..., token: _Optional[_Union[_event_pb2.WriteToken, _Mapping]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ranking: _Optional[_Union[Ranking, str]] = ..., sources: _Optional[_Iterable[str]] = ..., time_zone: _Optional[str] = ...) -> None: ...

class RecommendedItem(_message.Message):
    __slots__ = ("item_id", "score", "position", "sources", "task_scores", "retrieval_score", "propensity")
    class TaskScoresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    TASK_SCORES_FIELD_NUMBER: _ClassVar[int]
    RETRIEVAL_SCORE_FIELD_NUMBER: _ClassVar[int]
    PROPENSITY_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    score: float
    position: int
    sources: _containers.RepeatedScalarFieldContainer[str]
    task_scores: _containers.ScalarMap[str, float]
    retrieval_score: float
    propensity: float
    def __init__(self, item_id: _Optional[str] = ..., score: _Optional[float] = ..., position: _Optional[int] = ..., sources: _Optional[_Iterable[str]] = ..., task_scores: _Optional[_Mapping[str, float]] = ..., retrieval_score: _Optional[float] = ..., propensity: _Optional[float] = ...) -> None: ...

class AnswerVersions(_message.Message):
    __slots__ = ("bundle", "policy", "item_table_position", "events_applied_through", "arm")
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    ITEM_TABLE_POSITION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_APPLIED_THROUGH_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    policy: str
    item_table_position: int
    events_applied_through: int
    arm: str
    def __init__(self, bundle: _Optional[str] = ..., policy: _Optional[str] = ..., item_table_position: _Optional[int] = ..., events_applied_through: _Optional[int] = ..., arm: _Optional[str] = ...) -> None: ...

class RecommendItemsResponse(_message.Message):
    __slots__ = ("recommendation_id", "items", "versions", "degraded_stages", "token_satisfied")
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_STAGES_FIELD_NUMBER: _ClassVar[int]
    TOKEN_SATISFIED_FIELD_NUMBER: _ClassVar[int]
    recommendation_id: str
    items: _containers.RepeatedCompositeFieldContainer[RecommendedItem]
    versions: AnswerVersions
    degraded_stages: _containers.RepeatedScalarFieldContainer[str]
    token_satisfied: bool
    def __init__(self, recommendation_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[RecommendedItem, _Mapping]]] = ..., versions: _Optional[_Union[AnswerVersions, _Mapping]] = ..., degraded_stages: _Optional[_Iterable[str]] = ..., token_satisfied: _Optional[bool] = ...) -> None: ...

class RecommendSimilarItemsRequest(_message.Message):
    __slots__ = ("item_id", "tenant", "max_items", "filter", "excluded_item_ids", "placement", "user_id", "anonymous_id", "device_id", "token")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    tenant: str
    max_items: int
    filter: _candidate_pb2.ItemFilter
    excluded_item_ids: _containers.RepeatedScalarFieldContainer[str]
    placement: str
    user_id: str
    anonymous_id: str
    device_id: str
    token: _event_pb2.WriteToken
    def __init__(self, item_id: _Optional[str] = ..., tenant: _Optional[str] = ..., max_items: _Optional[int] = ..., filter: _Optional[_Union[_candidate_pb2.ItemFilter, _Mapping]] = ..., excluded_item_ids: _Optional[_Iterable[str]] = ..., placement: _Optional[str] = ..., user_id: _Optional[str] = ..., anonymous_id: _Optional[str] = ..., device_id: _Optional[str] = ..., token: _Optional[_Union[_event_pb2.WriteToken, _Mapping]] = ...) -> None: ...

class RecommendSimilarItemsResponse(_message.Message):
    __slots__ = ("recommendation_id", "items", "versions", "degraded_stages", "token_satisfied")
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_STAGES_FIELD_NUMBER: _ClassVar[int]
    TOKEN_SATISFIED_FIELD_NUMBER: _ClassVar[int]
    recommendation_id: str
    items: _containers.RepeatedCompositeFieldContainer[RecommendedItem]
    versions: AnswerVersions
    degraded_stages: _containers.RepeatedScalarFieldContainer[str]
    token_satisfied: bool
    def __init__(self, recommendation_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[RecommendedItem, _Mapping]]] = ..., versions: _Optional[_Union[AnswerVersions, _Mapping]] = ..., degraded_stages: _Optional[_Iterable[str]] = ..., token_satisfied: _Optional[bool] = ...) -> None: ...

class RecommendSimilarUsersRequest(_message.Message):
    __slots__ = ("user_id", "tenant", "max_users")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    MAX_USERS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    tenant: str
    max_users: int
    def __init__(self, user_id: _Optional[str] = ..., tenant: _Optional[str] = ..., max_users: _Optional[int] = ...) -> None: ...

class SimilarUser(_message.Message):
    __slots__ = ("user_id", "score")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    score: float
    def __init__(self, user_id: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class RecommendSimilarUsersResponse(_message.Message):
    __slots__ = ("users", "versions", "degraded_stages")
    USERS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_STAGES_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[SimilarUser]
    versions: AnswerVersions
    degraded_stages: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, users: _Optional[_Iterable[_Union[SimilarUser, _Mapping]]] = ..., versions: _Optional[_Union[AnswerVersions, _Mapping]] = ..., degraded_stages: _Optional[_Iterable[str]] = ...) -> None: ...
