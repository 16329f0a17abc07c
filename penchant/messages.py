"""The client's values to messages and back; shared by the blocking and the asyncio client."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from penchant import answers
from penchant.fields import build, listed, refused, shown
from penchant.leaves import Condition
from penchant.v1 import candidate_pb2, event_pb2, ingestion_service_pb2, recommender_service_pb2, status_service_pb2
from penchant.writes import Attribute, EventWrite, ItemWrite, UserWrite

_W = TypeVar("_W", EventWrite, ItemWrite, UserWrite)
_P = TypeVar("_P")
RANKINGS = {
    "": recommender_service_pb2.RANKING_UNSPECIFIED,
    "model": recommender_service_pb2.RANKING_MODEL,
    "retrieval": recommender_service_pb2.RANKING_RETRIEVAL,
}


def timestamp(time: datetime | None, field: str = "time") -> Timestamp | None:
    """A time without a zone is UTC. Raises InvalidArgument for what is no datetime."""
    if time is None:
        return None
    if not isinstance(time, datetime):
        raise refused(field, time, "it must be a datetime")
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    micros = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)


_MICROSECOND = datetime.resolution


def item_filter(conditions: Sequence[Condition]) -> candidate_pb2.ItemFilter | None:
    """Attribute conditions; None where there are none. Raises InvalidArgument."""
    field = "filter.conditions"
    given = listed(field, conditions, "Conditions")
    return candidate_pb2.ItemFilter(conditions=[_condition(c, f"{field}[{i}]") for i, c in enumerate(given)] or None)


def _condition(condition: Condition, path: str) -> candidate_pb2.AttributeCondition:
    _check_kind(condition, Condition, path)
    return build(candidate_pb2.AttributeCondition, f"{path}.", _values(condition))


def event(written: EventWrite, path: str = "") -> event_pb2.Event:
    """An event. Raises InvalidArgument with the field, below `path`, that cannot be sent."""
    values = _values(written)
    values["event_time"] = timestamp(written.event_time, f"{path}event_time")
    return build(event_pb2.Event, path, values)


def item(written: ItemWrite, path: str = "") -> event_pb2.Item:
    """An item. Raises InvalidArgument with the field, below `path`, that cannot be sent."""
    values = _values(written)
    values["created_time"] = timestamp(written.created_time, f"{path}created_time")
    values["attributes"] = _attributes(written.attributes, f"{path}attributes")
    return build(event_pb2.Item, path, values)


def user(written: UserWrite, path: str = "") -> event_pb2.User:
    """A user. Raises InvalidArgument with the field, below `path`, that cannot be sent."""
    values = _values(written)
    values["attributes"] = _attributes(written.attributes, f"{path}attributes")
    return build(event_pb2.User, path, values)


def batch(name: str, kind: type[_W], message: Callable[[_W, str], _P], written: Iterable[_W]) -> list[_P]:
    """Messages of a batch. Raises InvalidArgument naming the entry, such as events[3].position."""
    entries = listed(name, written, f"{kind.__name__}s")
    for place, entry in enumerate(entries):
        _check_kind(entry, kind, f"{name}[{place}]")
    return [message(entry, f"{name}[{place}].") for place, entry in enumerate(entries)]


def _check_kind(value: Any, kind: type, path: str) -> None:
    if not isinstance(value, kind):
        raise refused(path, value, f"it must be of type {kind.__name__}")


def _values(written: Any) -> dict[str, Any]:
    return {field.name: getattr(written, field.name) for field in fields(written)}


def _attributes(attributes: Mapping[str, Attribute], path: str) -> dict[str, event_pb2.AttributeValue]:
    if not isinstance(attributes, Mapping):
        raise refused(path, attributes, "it must map names to texts, numbers, lists of texts or files")
    for name in attributes:
        # A key that is no text, or none that UTF-8 can write.
        build(event_pb2.StringList, f"{path}: name ", {"values": [name]})
    return {name: _attribute(value, f"{path}[{shown(name)}]") for name, value in attributes.items()}


def _attribute(value: Attribute, path: str) -> event_pb2.AttributeValue:
    if isinstance(value, str):
        return build(event_pb2.AttributeValue, f"{path}.", {"text": value})
    if isinstance(value, int | float):
        return build(event_pb2.AttributeValue, f"{path}.", {"number": value})
    if isinstance(value, bytes):
        return build(event_pb2.AttributeValue, f"{path}.", {"file": value})
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise refused(path, value, "it must be a text, a number, a list of texts or a file's bytes")
    return event_pb2.AttributeValue(list=build(event_pb2.StringList, f"{path}.", {"values": value}))


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


def merged(message: ingestion_service_pb2.MergeIdentitiesResponse) -> answers.Merged:
    """Of a MergeIdentities response."""
    return answers.Merged(message.token.position, message.already_merged)


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
