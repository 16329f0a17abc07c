"""What the client asks, as messages: checked here, so that both clients say the same."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from penchant import messages
from penchant.errors import InvalidArgument
from penchant.fields import build, refused
from penchant.leaves import Condition
from penchant.v1 import event_pb2, ingestion_service_pb2, recommender_service_pb2
from penchant.writes import EventWrite, ItemWrite, UserWrite


class Asking(TypedDict, total=False):
    """Who asks for similar items."""

    user_id: str
    anonymous_id: str
    device_id: str
    token: int
    """Written.position of the events that the answer must know of."""


class ItemsAsked(TypedDict, total=False):
    """What a slate may be asked for with; see RecommendItemsRequest in protos/penchant/v1/recommender_service.proto."""

    user_id: str
    anonymous_id: str
    device_id: str
    tenant: str
    session_id: str
    placement: str
    conditions: Sequence[Condition]
    excluded: Sequence[str]
    candidates: Sequence[str]
    context: Mapping[str, str]
    include_seen: bool
    token: int
    """Written.position of the events that the slate must know of."""
    as_of: datetime | None
    ranking: str
    """"model", "retrieval", or "" for the policy's."""
    sources: Sequence[str]
    time_zone: str


def items_request(max_items: int, asked: ItemsAsked) -> recommender_service_pb2.RecommendItemsRequest:
    """For a slate. Raises InvalidArgument with the field."""
    values: Any = dict(asked)
    ranking = values.pop("ranking", "")
    if not isinstance(ranking, str) or ranking not in messages.RANKINGS:
        raise refused("ranking", ranking, "it may be 'model' or 'retrieval'")
    token = values.pop("token", 0)
    values |= {
        "max_items": max_items,
        "filter": messages.item_filter(values.pop("conditions", ())),
        "excluded_item_ids": values.pop("excluded", ()),
        "candidate_item_ids": values.pop("candidates", ()),
        "as_of": messages.timestamp(values.pop("as_of", None), "as_of"),
        "ranking": messages.RANKINGS[ranking],
        "token": build(event_pb2.WriteToken, "token.", {"position": token}) if token else None,
    }
    return build(recommender_service_pb2.RecommendItemsRequest, "", values)


def similar_items_request(
    item_id: str,
    max_items: int,
    conditions: Sequence[Condition],
    excluded: Sequence[str],
    placement: str,
    tenant: str,
    who: Asking,
) -> recommender_service_pb2.RecommendSimilarItemsRequest:
    """For items like a given one. Raises InvalidArgument."""
    token: Any = who.get("token", 0)
    values = {
        **{name: value for name, value in who.items() if name != "token"},
        "token": build(event_pb2.WriteToken, "token.", {"position": token}) if token else None,
        "item_id": item_id,
        "max_items": max_items,
        "filter": messages.item_filter(conditions),
        "excluded_item_ids": excluded,
        "placement": placement,
        "tenant": tenant,
    }
    return build(recommender_service_pb2.RecommendSimilarItemsRequest, "", values)


def similar_users_request(
    user_id: str, max_users: int, tenant: str
) -> recommender_service_pb2.RecommendSimilarUsersRequest:
    """For users like a given one. Raises InvalidArgument."""
    values = {"user_id": user_id, "max_users": max_users, "tenant": tenant}
    return build(recommender_service_pb2.RecommendSimilarUsersRequest, "", values)


def events_request(events: Iterable[EventWrite]) -> ingestion_service_pb2.WriteEventsRequest:
    """Events of one call. Raises InvalidArgument."""
    return ingestion_service_pb2.WriteEventsRequest(events=messages.batch("events", EventWrite, messages.event, events))


def merge_request(
    into_user_id: str, anonymous_id: str, device_id: str, user_id: str, tenant: str
) -> ingestion_service_pb2.MergeIdentitiesRequest:
    """One of three identities into a user. Raises InvalidArgument unless exactly one is given."""
    given = {"anonymous_id": anonymous_id, "device_id": device_id, "user_id": user_id}
    chosen = {name: value for name, value in given.items() if value != ""}
    if len(chosen) != 1:
        raise InvalidArgument("from", f"holds {', '.join(chosen) or 'nothing'}, give one of {', '.join(given)}")
    merge = build(event_pb2.IdentityMerge, "", {"tenant": tenant, "into_user_id": into_user_id, **chosen})
    return ingestion_service_pb2.MergeIdentitiesRequest(merge=merge)


def stream_request(events: Iterable[EventWrite]) -> ingestion_service_pb2.StreamEventsRequest:
    """Events of one batch of a stream. Raises InvalidArgument."""
    return ingestion_service_pb2.StreamEventsRequest(
        events=messages.batch("events", EventWrite, messages.event, events)
    )


def write_items_request(items: Iterable[ItemWrite]) -> ingestion_service_pb2.WriteItemsRequest:
    """Items to write. Raises InvalidArgument."""
    return ingestion_service_pb2.WriteItemsRequest(items=messages.batch("items", ItemWrite, messages.item, items))


def users_request(users: Iterable[UserWrite]) -> ingestion_service_pb2.WriteUsersRequest:
    """Users to write. Raises InvalidArgument."""
    return ingestion_service_pb2.WriteUsersRequest(users=messages.batch("users", UserWrite, messages.user, users))
