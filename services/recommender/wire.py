"""The front door's messages to queries, and slates to messages: every bound of the protos is checked here."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from penchant import ids
from penchant.errors import InvalidArgument
from penchant.policy import Policy
from penchant.trend import NO_TREND, TrendSnapshot
from penchant.types import Keys
from penchant.v1 import log_pb2
from penchant.v1 import recommender_service_pb2 as messages
from services.recommender import validate
from services.recommender.catalogue import Catalogue
from services.recommender.deadline import Deadline
from services.recommender.degraded import Degraded
from services.recommender.front_door import SimilarUsers
from services.recommender.query import Query, Slate
from services.recommender.side_effects.exposure import Exposure, sampled
from services.runtime.wire import conditions_from_proto

EXPOSURE_VERSION = 1
_RANKINGS = frozenset(messages.Ranking.values())


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds a request: everything of a query that the message does not say."""

    recommendation_id: str
    now_us: int
    policy: Policy
    catalogue: Catalogue
    deadline: Deadline
    features_rate: float = 0.0
    last_bundle: bool = True
    trend: TrendSnapshot = NO_TREND


def items_query(request: messages.RecommendItemsRequest, frame: Frame) -> Query:
    """The query of a RecommendItems. Raises InvalidArgument naming the field and the bound."""
    validate.check_text("placement", request.placement, validate.MAX_SHORT_BYTES)
    validate.check_text("tenant", request.tenant, validate.MAX_SHORT_BYTES)
    for name in ("user_id", "anonymous_id", "device_id", "session_id"):
        validate.check_text(name, getattr(request, name))
    validate.check_count("max_items", request.max_items)
    validate.check_ids("excluded_item_ids", request.excluded_item_ids, validate.MAX_EXCLUDED)
    validate.check_ids("candidate_item_ids", request.candidate_item_ids, validate.MAX_CALLER_CANDIDATES)
    validate.check_context(request.context)
    validate.check_position("token.position", request.token.position)
    validate.check_sources(request.sources)
    validate.check_time_zone(request.time_zone)
    if request.ranking not in _RANKINGS:
        raise InvalidArgument("ranking", f"is {request.ranking}, known are {', '.join(messages.Ranking.keys())}")
    conditions = conditions_from_proto(request.filter)
    validate.check_conditions(conditions)
    placement = frame.policy.placement(request.placement)
    ranked = {messages.RANKING_MODEL: True, messages.RANKING_RETRIEVAL: False}.get(
        request.ranking, placement.ranking == "model"
    )
    return Query(
        recommendation_id=frame.recommendation_id,
        user_key=ids.identity_key(request.tenant, request.user_id, request.anonymous_id, request.device_id),
        max_items=request.max_items,
        as_of_us=_as_of_us(request, frame.now_us),
        catalogue=frame.catalogue,
        table=frame.catalogue.table.view(),
        placement=placement,
        policy_version=frame.policy.version,
        deadline=frame.deadline,
        degraded=Degraded(),
        tenant=request.tenant,
        session_id=request.session_id,
        placement_name=request.placement,
        conditions=conditions,
        excluded_keys=_keys(request.tenant, request.excluded_item_ids),
        caller_keys=_keys(request.tenant, request.candidate_item_ids),
        context=dict(request.context),
        include_seen=request.include_seen,
        minimum_position=request.token.position,
        ranked=ranked,
        last_bundle=frame.last_bundle,
        sources=tuple(request.sources) or placement.sources,
        return_features=ranked and sampled(frame.recommendation_id, frame.features_rate),
        event_weights=frame.policy.event_types.weights,
        trend=frame.trend,
    )


def similar_items_query(request: messages.RecommendSimilarItemsRequest, frame: Frame) -> Query:
    """The query of a RecommendSimilarItems: about an item; of the user only what they hid or skipped counts.

    Raises InvalidArgument.
    """
    for name in ("user_id", "anonymous_id", "device_id"):
        validate.check_text(name, getattr(request, name))
    validate.check_position("token.position", request.token.position)
    validate.check_text("item_id", request.item_id, required=True)
    validate.check_text("tenant", request.tenant, validate.MAX_SHORT_BYTES)
    validate.check_text("placement", request.placement, validate.MAX_SHORT_BYTES)
    validate.check_count("max_items", request.max_items)
    validate.check_ids("excluded_item_ids", request.excluded_item_ids, validate.MAX_EXCLUDED)
    conditions = conditions_from_proto(request.filter)
    validate.check_conditions(conditions)
    return Query(
        recommendation_id=frame.recommendation_id,
        user_key=ids.identity_key(request.tenant, request.user_id, request.anonymous_id, request.device_id),
        max_items=request.max_items,
        as_of_us=frame.now_us,
        catalogue=frame.catalogue,
        table=frame.catalogue.table.view(),
        placement=frame.policy.placement(request.placement),
        policy_version=frame.policy.version,
        deadline=frame.deadline,
        degraded=Degraded(),
        tenant=request.tenant,
        placement_name=request.placement,
        conditions=conditions,
        excluded_keys=_keys(request.tenant, request.excluded_item_ids),
        similar_to=_keys(request.tenant, [request.item_id]),
        include_seen=True,
        minimum_position=request.token.position,
        event_weights=frame.policy.event_types.weights,
        trend=frame.trend,
        ranked=False,
    )


def similar_users_query(request: messages.RecommendSimilarUsersRequest, frame: Frame) -> Query:
    """The query of a RecommendSimilarUsers. Raises InvalidArgument."""
    validate.check_text("user_id", request.user_id, required=True)
    validate.check_text("tenant", request.tenant, validate.MAX_SHORT_BYTES)
    validate.check_count("max_users", request.max_users)
    return Query(
        recommendation_id=frame.recommendation_id,
        user_key=ids.key(request.tenant, request.user_id),
        max_items=request.max_users,
        as_of_us=frame.now_us,
        catalogue=frame.catalogue,
        table=frame.catalogue.table.view(),
        placement=frame.policy.placement(""),
        policy_version=frame.policy.version,
        deadline=frame.deadline,
        degraded=Degraded(),
        tenant=request.tenant,
    )


def items_response(slate: Slate) -> messages.RecommendItemsResponse:
    """The answer to RecommendItems."""
    return messages.RecommendItemsResponse(
        recommendation_id=slate.query.recommendation_id,
        items=_items(slate),
        versions=_versions(slate.query, slate.item_table_position),
        degraded_stages=slate.query.degraded.stages,
        token_satisfied=slate.query.token_satisfied,
    )


def similar_items_response(slate: Slate) -> messages.RecommendSimilarItemsResponse:
    """The answer to RecommendSimilarItems."""
    return messages.RecommendSimilarItemsResponse(
        recommendation_id=slate.query.recommendation_id,
        items=_items(slate),
        versions=_versions(slate.query, slate.item_table_position),
        degraded_stages=slate.query.degraded.stages,
        token_satisfied=slate.query.token_satisfied,
    )


def similar_users_response(found: SimilarUsers) -> messages.RecommendSimilarUsersResponse:
    """The answer to RecommendSimilarUsers."""
    users = [
        messages.SimilarUser(user_id=id_, score=score)
        for id_, score in zip(found.ids, found.scores.tolist(), strict=True)
    ]
    return messages.RecommendSimilarUsersResponse(
        users=users,
        versions=_versions(found.query, found.item_table_position),
        degraded_stages=found.query.degraded.stages,
    )


def exposure_record(exposure: Exposure) -> bytes:
    """One slate as the exposure log keeps it."""
    slate, query = exposure.slate, exposure.slate.query
    record = log_pb2.ExposureRecord(
        schema_version=EXPOSURE_VERSION,
        recommendation_id=query.recommendation_id,
        as_of_us=query.as_of_us,
        tenant=query.tenant,
        user_key=query.user_key,
        session_id=query.session_id,
        placement=query.placement_name,
        item_keys=slate.keys.astype("<i8").tobytes(),
        scores=slate.scores.astype("<f4").tobytes(),
        propensities=slate.propensities.astype("<f4").tobytes(),
        source_bits=slate.source_bits.astype("<u4").tobytes(),
        source_names=slate.source_names,
        bundle=query.catalogue.version,
        policy=query.policy_version,
        item_table_position=slate.item_table_position,
        events_applied_through=query.events_applied_through,
        degraded_stages=exposure.degraded_stages,
        context=query.context,
    )
    if slate.features is not None:
        record.features = slate.features.astype("<f4").tobytes()
        record.schema_fingerprint = query.catalogue.manifest.schema_fingerprint
    return record.SerializeToString()


def _as_of_us(request: messages.RecommendItemsRequest, now_us: int) -> int:
    if not request.HasField("as_of"):
        return now_us
    as_of: Timestamp = request.as_of
    # The store takes 0 for no time at all.
    return max(validate.check_time("as_of", as_of.seconds, as_of.nanos, now_us), 1)


def _keys(tenant: str, item_ids: Iterable[str]) -> Keys:
    return ids.keys(tenant, (item_id for item_id in item_ids if item_id))


def _versions(query: Query, item_table_position: int) -> messages.AnswerVersions:
    return messages.AnswerVersions(
        bundle=query.catalogue.version,
        policy=query.policy_version,
        item_table_position=item_table_position,
        events_applied_through=query.events_applied_through,
    )


def _items(slate: Slate) -> list[messages.RecommendedItem]:
    names = slate.query.table.ids
    tasks = slate.tasks
    task_scores = slate.task_scores.tolist() if slate.task_scores is not None else [[]] * len(slate)
    columns = zip(
        slate.rows.tolist(),
        slate.scores.tolist(),
        slate.source_bits.tolist(),
        slate.retrieval_scores.tolist(),
        slate.propensities.tolist(),
        task_scores,
        strict=True,
    )
    return [
        messages.RecommendedItem(
            item_id=names[row],
            score=score,
            position=i,
            sources=_sources(bits, slate.source_names),
            task_scores=dict(zip(tasks, of_tasks, strict=True)) if of_tasks else None,
            retrieval_score=retrieval_score,
            propensity=propensity,
        )
        for i, (row, score, bits, retrieval_score, propensity, of_tasks) in enumerate(columns)
    ]


@lru_cache(maxsize=4096)
def _sources(bits: int, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for i, name in enumerate(names) if bits >> i & 1)
