"""MergeIdentities: what is joined, what is harmless and what is refused, through gRPC."""

import grpc
import numpy as np
import pytest
from test_feature_store_server import click, door, fetch, refused, send

from penchant.ids import identity_key, key
from penchant.v1 import event_pb2, ingestion_service_pb2

__all__ = ["door"]


async def merge(door, into: str, **fields):
    merged = event_pb2.IdentityMerge(into_user_id=into, **fields)
    return await door[1].MergeIdentities(ingestion_service_pb2.MergeIdentitiesRequest(merge=merged))


async def history(door, user_key: int) -> list[int]:
    fetched = await fetch(door, user_keys=[user_key])
    return np.frombuffer(fetched.users[0].history_keys, np.int64).tolist()


async def test_what_the_device_did_is_the_users_and_what_it_does_later_too(door):
    await send(door, click(item_id="a"))
    await send(door, click(user_id="", device_id="d", item_id="b"))
    answer = await merge(door, "u", device_id="d")
    assert (answer.already_merged, answer.token.position) == (False, 3)
    await send(door, click(user_id="", device_id="d", item_id="c"))
    device = identity_key("", device_id="d")
    for asked in (key("", "u"), device):
        assert await history(door, asked) == [key("", item) for item in "abc"]
    fetched = await fetch(door, user_keys=[device])
    assert (fetched.users[0].user_key, fetched.users[0].merged_from) == (key("", "u"), device)


async def test_an_unknown_identity_may_be_merged_before_it_acts(door):
    await merge(door, "u", anonymous_id="later")
    await send(door, click(user_id="", anonymous_id="later", item_id="a"))
    assert await history(door, key("", "u")) == [key("", "a")]


async def test_repeats_change_nothing(door):
    await send(door, click(user_id="", anonymous_id="x", item_id="a"))
    first = await merge(door, "u", anonymous_id="x")
    again = await merge(door, "u", anonymous_id="x")
    assert again.already_merged
    assert again.token.position == first.token.position == 2
    assert await history(door, key("", "u")) == [key("", "a")]


async def test_chains_end_at_the_last_user_and_a_merge_into_the_middle_does_too(door):
    await send(door, click(user_id="", anonymous_id="x", item_id="a"))
    await send(door, click(user_id="b", item_id="b"))
    await merge(door, "b", anonymous_id="x")
    await merge(door, "c", user_id="b")
    await send(door, click(user_id="", device_id="d", item_id="d"))
    await merge(door, "b", device_id="d")
    assert (await merge(door, "c", anonymous_id="x")).already_merged
    for asked in (key("", "b"), key("", "c"), identity_key("", anonymous_id="x"), identity_key("", device_id="d")):
        assert await history(door, asked) == [key("", item) for item in "abd"]


async def test_circles_are_refused(door):
    await merge(door, "b", user_id="a")
    await merge(door, "c", user_id="b")
    for back in ("a", "b"):
        error = await refused(merge(door, back, user_id="c"))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "circle" in error.details()


async def test_a_shared_device_does_not_join_two_people(door):
    await merge(door, "ann", device_id="d")
    error = await refused(merge(door, "bob", device_id="d"))
    assert error.details().startswith("device_id: 'd' was merged into another user before")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"into": "u"}, "from: is empty: give anonymous_id, device_id or user_id"),
        ({"into": "u", "anonymous_id": ""}, "from: is empty"),
        ({"into": "", "anonymous_id": "x"}, "into_user_id: is empty"),
        ({"into": "u", "user_id": "u"}, "into_user_id: 'u' is merged into itself"),
        ({"into": "u", "device_id": "x" * 257}, "device_id: has 257 bytes"),
        ({"into": "u", "device_id": "x", "tenant": "t" * 65}, "tenant: has 65 bytes"),
        ({"into": "a\0b", "device_id": "x"}, "into_user_id: holds a NUL"),
    ],
)
async def test_a_bad_merge_names_the_field(door, fields, said):
    error = await refused(merge(door, **fields))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith(said)


async def test_tenants_are_apart(door):
    await send(door, click(user_id="", anonymous_id="x", item_id="a", tenant="t"))
    await merge(door, "u", anonymous_id="x")
    assert await history(door, key("t", "u")) == []
    assert await history(door, identity_key("t", anonymous_id="x")) == [key("t", "a")]


async def test_a_users_attributes_stay_and_fill_an_empty_ones_place(door):
    paid = {"plan": event_pb2.AttributeValue(text="paid")}
    await door[1].WriteUsers(
        ingestion_service_pb2.WriteUsersRequest(users=[event_pb2.User(user_id="a", attributes=paid)])
    )
    await merge(door, "b", user_id="a")
    fetched = await fetch(door, user_keys=[key("", "b")])
    assert np.frombuffer(fetched.users[0].dense, np.float32)[-2:].tolist() == [0.0, 1.0]
