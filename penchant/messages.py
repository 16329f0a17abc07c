"""The client's values to messages and back; shared by the blocking and the asyncio client."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from penchant import answers
from penchant.leaves import Condition
from penchant.v1 import candidate_pb2, event_pb2, recommender_service_pb2, status_service_pb2
from penchant.writes import Attribute, EventWrite, ItemWrite, UserWrite

RANKINGS = {
    "": recommender_service_pb2.RANKING_UNSPECIFIED,
    "model": recommender_service_pb2.RANKING_MODEL,
    "retrieval": recommender_service_pb2.RANKING_RETRIEVAL,
}


def timestamp(time: datetime | None) -> Timestamp | None:
    """A time without a zone is UTC."""
    if time is None:
        return None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    micros = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)


_MICROSECOND = datetime.resolution


def item_filter(conditions: Sequence[Condition]) -> candidate_pb2.ItemFilter | None:
    """Attribute conditions; None where there are none."""
    if not conditions:
        return None
    return candidate_pb2.ItemFilter(
        conditions=[
            candidate_pb2.AttributeCondition(
                attribute=c.attribute, any_of=c.any_of, minimum=c.minimum, maximum=c.maximum, negate=c.negate
            )
            for c in conditions
        ]
    )


def event(written: EventWrite) -> event_pb2.Event:
    """An event."""
    return event_pb2.Event(
        event_id=written.event_id,
        tenant=written.tenant,
        user_id=written.user_id,
        anonymous_id=written.anonymous_id,
        device_id=written.device_id,
        session_id=written.session_id,
        item_id=written.item_id,
        event_type=written.event_type,
        value=written.value,
        text=written.text,
        event_time=timestamp(written.event_time),
        recommendation_id=written.recommendation_id,
        position=written.position,
        placement=written.placement,
        context=written.context,
    )


def item(written: ItemWrite) -> event_pb2.Item:
    """An item."""
    return event_pb2.Item(
        item_id=written.item_id,
        tenant=written.tenant,
        attributes=_attributes(written.attributes),
        available=written.available,
        deleted=written.deleted,
        created_time=timestamp(written.created_time),
    )


def user(written: UserWrite) -> event_pb2.User:
    """A user."""
    return event_pb2.User(
        user_id=written.user_id, tenant=written.tenant, attributes=_attributes(written.attributes)
    )  # fmt: skip


def _attributes(attributes: Mapping[str, Attribute]) -> dict[str, event_pb2.AttributeValue]:
    return {name: _attribute(value) for name, value in attributes.items()}


def _attribute(value: Attribute) -> event_pb2.AttributeValue:
    if isinstance(value, str):
        return event_pb2.AttributeValue(text=value)
    if isinstance(value, int | float):
        return event_pb2.AttributeValue(number=value)
    return event_pb2.AttributeValue(list=event_pb2.StringList(values=value))


def slate(message: Any) -> answers.Slate:
    """Of a RecommendItems or RecommendSimilarItems response."""
    return answers.Slate(
        message.recommendation_id,
        tuple(
            answers.SlateItem(
                i.item_id, i.score, i.position, tuple(i.sources), dict(i.task_scores), i.retrieval_score, i.propensity
            )
            for i in message.items
        ),
        _versions(message.versions),
        tuple(message.degraded_stages),
        getattr(message, "token_satisfied", True),
    )


def similar_users(message: recommender_service_pb2.RecommendSimilarUsersResponse) -> answers.SimilarUsers:
    """Of a RecommendSimilarUsers response."""
    return answers.SimilarUsers(
        tuple(answers.SimilarUser(u.user_id, u.score) for u in message.users),
        _versions(message.versions),
        tuple(message.degraded_stages),
    )


def written(message: Any) -> answers.Written:
    """Of a response to any of the writes."""
    position = 0
    if hasattr(message, "token"):
        position = message.token.position
    elif hasattr(message, "item_table_position"):
        position = message.item_table_position
    rejections = tuple(answers.Rejection(r.index, r.field, r.reason) for r in message.rejections)
    return answers.Written(message.accepted, rejections, position)


def status(message: status_service_pb2.GetStatusResponse) -> answers.Status:
    """Of a GetStatus response."""
    return answers.Status(
        message.service,
        message.version,
        tuple(message.bundle_versions),
        message.policy_version,
        message.item_table_position,
        message.events_applied_through,
        message.uptime_s,
        dict(message.metrics),
        message.refused_bundle,
    )


def _versions(message: recommender_service_pb2.AnswerVersions) -> answers.Versions:
    return answers.Versions(
        message.bundle, message.policy, message.item_table_position, message.events_applied_through, message.arm
    )
