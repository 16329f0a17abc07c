"""The feature store through gRPC: every bound of the protos, and what the answers hold."""

import asyncio
import contextlib
import json
import math

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from media_files import picture_file, sound_file
from store_world import DAY_US, NOW_US

from penchant.ids import identity_key, key
from penchant.media import PICTURE, SOUND, picture, sound, unpacked
from penchant.v1 import event_pb2, feature_pb2, feature_store_service_pb2, ingestion_service_pb2
from penchant.v1.feature_store_service_pb2_grpc import FeatureStoreServiceStub
from penchant.v1.ingestion_service_pb2_grpc import IngestionServiceStub
from services.feature_store.config import FeatureStoreSettings
from services.feature_store.server import SERVICE_NAMES, register, wall_clock_us
from services.runtime.server import serve
from services.runtime.status import StatusSnapshot


@pytest.fixture
async def door(leaf):
    """Stubs of a served leaf, and its address."""
    stop, opened = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(
            "feature_store",
            FeatureStoreSettings(port=0, drain_s=0.5),
            lambda server: register(leaf, server),
            StatusSnapshot,
            lambda: True,
            SERVICE_NAMES,
            stop,
            opened.set_result,
        )
    )
    address = f"127.0.0.1:{await opened}"
    async with grpc.aio.insecure_channel(address) as channel:
        yield FeatureStoreServiceStub(channel), IngestionServiceStub(channel), address
    stop.set()
    await serving


def stamp(time_us: int) -> Timestamp:
    return Timestamp(seconds=time_us // 1_000_000, nanos=time_us % 1_000_000 * 1000)


def click(**fields) -> event_pb2.Event:
    return event_pb2.Event(**{"user_id": "u", "item_id": "i", "event_type": "click", **fields})


async def send(door, *events):
    return await door[1].WriteEvents(ingestion_service_pb2.WriteEventsRequest(events=events))


async def fetch(door, **fields):
    request = feature_store_service_pb2.FetchFeaturesRequest(**{"as_of_us": wall_clock_us(), **fields})
    return await door[0].FetchFeatures(request)


async def refused(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


BAD_EVENTS = {
    "no user": (click(user_id=""), "user_id", "anonymous_id"),
    "over-long user": (click(user_id="ü" * 129), "user_id", "258 bytes, at most 256"),
    "over-long item": (click(item_id="x" * 257), "item_id", "at most 256"),
    "over-long tenant": (click(tenant="x" * 65), "tenant", "at most 64"),
    "over-long event id": (click(event_id="x" * 129), "event_id", "at most 128"),
    "over-long session": (click(session_id="x" * 257), "session_id", "at most 256"),
    "over-long device": (click(device_id="x" * 257), "device_id", "at most 256"),
    "over-long recommendation": (click(recommendation_id="x" * 129), "recommendation_id", "at most 128"),
    "over-long placement": (click(placement="x" * 65), "placement", "at most 64"),
    "NUL in an id": (click(user_id="a\0b"), "user_id", "NUL"),
    "no item": (click(item_id=""), "item_id", "needs the item"),
    "unknown type": (click(event_type="dance"), "event_type", "purchase"),
    "empty type": (click(event_type=""), "event_type", "one of"),
    "NaN": (click(value=math.nan), "value", "NaN"),
    "infinity": (click(value=math.inf), "value", "not finite"),
    "minus infinity": (click(value=-math.inf), "value", "not finite"),
    "huge": (click(value=-1e300), "value", "larger unit"),
    "long text": (click(text="x" * 4097), "text", "at most 4096"),
    "negative time": (click(event_time=Timestamp(seconds=-1)), "event_time", "before 1970"),
    "far future": (click(event_time=Timestamp(seconds=253402300799)), "event_time", "at most 300"),
    "beyond int64": (click(event_time=Timestamp(seconds=2**62)), "event_time", "at most 300"),
    "much context": (click(context={str(n): "" for n in range(33)}), "context", "at most 32"),
    "long context": (click(context={"a": "x" * 257}), "context['a']", "at most 256"),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
async def test_a_bad_event_is_rejected_by_index_with_field_and_remedy(door, name):
    event, field, reason = BAD_EVENTS[name]
    answer = await send(door, click(item_id="before"), event, click(item_id="after"))
    assert answer.accepted == 2
    assert answer.token.position == 2
    (rejection,) = answer.rejections
    assert rejection.index == 1
    assert rejection.field == field
    assert reason in rejection.reason
    fetched = await fetch(door, user_keys=[key("", "u")])
    assert np.frombuffer(fetched.users[0].history_keys, np.int64).tolist() == [key("", "before"), key("", "after")]


async def test_several_bad_events_keep_their_own_places(door):
    answer = await send(door, click(value=math.nan), click(), click(event_type="dance"), click(value=math.inf))
    assert [(r.index, r.field) for r in answer.rejections] == [(0, "value"), (2, "event_type"), (3, "value")]
    nothing = await send(door, click(value=math.nan))
    assert (nothing.accepted, nothing.token.position) == (0, 0)


async def test_an_empty_and_a_too_large_batch_are_invalid(door):
    for events in ([], [click()] * 1001):
        error = await refused(send(door, *events))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "1000" in error.details()
    for call in (
        door[1].WriteItems(ingestion_service_pb2.WriteItemsRequest()),
        door[1].WriteUsers(ingestion_service_pb2.WriteUsersRequest()),
    ):
        assert (await refused(call)).code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_valid_event_of_every_kind_is_taken(door):
    answer = await send(
        door,
        click(value=0.0, text="fine", position=0, context={"country": "DE"}, consent=event_pb2.CONSENT_FULL),
        click(event_type="search", item_id="", text="shoes"),
        click(user_id="", anonymous_id="u"),
        click(user_id="", device_id="u", event_time=stamp(wall_clock_us() + 240_000_000)),
        click(event_time=Timestamp()),
    )
    assert (answer.accepted, len(answer.rejections)) == (5, 0)
    asked = [key("", "u"), identity_key("", anonymous_id="u"), identity_key("", device_id="u")]
    fetched = await fetch(door, user_keys=asked, minimum_position=answer.token.position)
    lengths = [len(np.frombuffer(user.history_keys, np.int64)) for user in fetched.users]
    assert lengths == [2, 1, 1]
    assert fetched.events_applied_through == 5


async def test_a_users_state_travels_packed(door):
    at = wall_clock_us() - DAY_US
    await send(door, click(event_type="rating", value=4.5, event_time=stamp(at)), click(item_id="h", event_type="hide"))
    fetched = await fetch(door, user_keys=[key("", "u"), 12345])
    user, stranger = fetched.users
    assert user.status == feature_pb2.FEATURE_STATUS_PRESENT
    assert np.frombuffer(user.history_times, np.int64).tolist() == [at]
    assert np.frombuffer(user.history_types, np.int64).tolist() == [5]
    assert np.frombuffer(user.history_values, np.float32).tolist() == [4.5]
    assert np.frombuffer(user.hidden_keys, np.int64).tolist() == [key("", "h")]
    assert user.applied_position == 2
    assert stranger.status == feature_pb2.FEATURE_STATUS_NOT_FOUND
    assert stranger.history_keys == b""


async def test_feature_columns_are_packed_with_offsets_and_statuses(door):
    await send(door, click(item_id="a"), click(item_id="b"))
    users = [key("", "u"), 999]
    answer = await fetch(door, feature_service="user_state", entity_keys=users)
    columns = {column.name: column for column in answer.columns}
    history = columns["user_sequences:history_keys"]
    assert history.dtype == "int64[]"
    assert np.frombuffer(history.offsets, np.uint32).tolist() == [0, 2, 2]
    assert np.frombuffer(history.values, np.int64).tolist() == [key("", "a"), key("", "b")]
    assert list(history.statuses) == [feature_pb2.FEATURE_STATUS_PRESENT, feature_pb2.FEATURE_STATUS_NOT_FOUND]
    position = columns["user_counters:applied_position"]
    assert (position.dtype, position.offsets) == ("int64", b"")
    assert np.frombuffer(position.values, np.int64).tolist() == [2, 0]
    assert list(columns["user_attributes:attributes_json"].statuses) == [feature_pb2.FEATURE_STATUS_NOT_FOUND] * 2


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"as_of_us": 0}, "as_of_us"),
        ({"as_of_us": -5}, "as_of_us"),
        ({"user_keys": range(1001)}, "user_keys"),
        ({"entity_keys": [1]}, "feature_service"),
        ({"feature_service": "nothing"}, "feature_service"),
        ({"feature_service": "user_state", "entity_keys": range(10_001)}, "entity_keys"),
    ],
)
async def test_a_bad_fetch_names_the_field(door, fields, field):
    error = await refused(fetch(door, **fields))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith(field)


BAD_ITEMS = {
    "empty id": (event_pb2.Item(), "item_id"),
    "over-long id": (event_pb2.Item(item_id="x" * 257), "item_id"),
    "NaN": (
        event_pb2.Item(item_id="a", attributes={"p": event_pb2.AttributeValue(number=math.nan)}),
        "attributes['p']",
    ),
    "infinity": (
        event_pb2.Item(item_id="a", attributes={"p": event_pb2.AttributeValue(number=math.inf)}),
        "attributes['p']",
    ),
    "no value": (event_pb2.Item(item_id="a", attributes={"p": event_pb2.AttributeValue()}), "attributes['p']"),
    "empty name": (event_pb2.Item(item_id="a", attributes={"": event_pb2.AttributeValue(text="x")}), "attributes"),
    "long list": (
        event_pb2.Item(
            item_id="a",
            attributes={"t": event_pb2.AttributeValue(list=event_pb2.StringList(values=[str(n) for n in range(65)]))},
        ),
        "attributes['t']",
    ),
    "a broken file": (
        event_pb2.Item(item_id="a", attributes={"cover": event_pb2.AttributeValue(file=picture_file()[:60])}),
        "attributes['cover']",
    ),
    "a file of nothing": (
        event_pb2.Item(item_id="a", attributes={"cover": event_pb2.AttributeValue(file=b"")}),
        "attributes['cover']",
    ),
    "a large file": (
        event_pb2.Item(item_id="a", attributes={"cover": event_pb2.AttributeValue(file=bytes(1 + (1 << 20)))}),
        "attributes['cover']",
    ),
    "before 1970": (event_pb2.Item(item_id="a", created_time=Timestamp(seconds=-9)), "created_time"),
}


@pytest.mark.parametrize("name", BAD_ITEMS)
async def test_a_bad_item_is_rejected_by_index(door, name):
    item, field = BAD_ITEMS[name]
    request = ingestion_service_pb2.WriteItemsRequest(items=[item, event_pb2.Item(item_id="good")])
    answer = await door[1].WriteItems(request)
    assert (answer.accepted, answer.item_table_position) == (1, 1)
    assert [(r.index, r.field) for r in answer.rejections] == [(0, field)]


async def test_bad_users_are_rejected_by_index(door):
    users = [event_pb2.User(), event_pb2.User(user_id="a"), event_pb2.User(user_id="x" * 300)]
    answer = await door[1].WriteUsers(ingestion_service_pb2.WriteUsersRequest(users=users))
    assert answer.accepted == 1
    assert [(r.index, r.field) for r in answer.rejections] == [(0, "user_id"), (2, "user_id")]


async def test_files_of_an_item_are_kept_in_the_form_that_encoders_read(door):
    files = {"cover": picture_file(), "jingle": sound_file(440)}
    attributes = {name: event_pb2.AttributeValue(file=file) for name, file in files.items()}
    request = ingestion_service_pb2.WriteItemsRequest(items=[event_pb2.Item(item_id="a", attributes=attributes)])
    assert (await door[1].WriteItems(request)).accepted == 1
    watching = door[0].WatchItems(feature_store_service_pb2.WatchItemsRequest())
    kept = json.loads((await watching.read()).changes[0].attributes_json)
    watching.cancel()
    np.testing.assert_array_equal(unpacked(kept["cover"], PICTURE), picture(files["cover"]))
    np.testing.assert_array_equal(unpacked(kept["jingle"], SOUND), sound(files["jingle"]))


async def test_a_user_has_no_files(door):
    users = [event_pb2.User(user_id="a", attributes={"face": event_pb2.AttributeValue(file=picture_file())})]
    answer = await door[1].WriteUsers(ingestion_service_pb2.WriteUsersRequest(users=users))
    assert [(r.field, r.reason) for r in answer.rejections] == [
        ("attributes['face']", "is a file: only items have pictures and sounds")
    ]


async def test_written_items_are_watched_with_rising_positions(door):
    def write(*ids, **fields):
        items = [event_pb2.Item(item_id=id_, **fields) for id_ in ids]
        return door[1].WriteItems(ingestion_service_pb2.WriteItemsRequest(items=items))

    tags = {"genre": event_pb2.AttributeValue(list=event_pb2.StringList(values=["a", "b"]))}
    await write("a", "b", attributes=tags)
    await write("a", available=False)
    watching = door[0].WatchItems(feature_store_service_pb2.WatchItemsRequest())
    first = await watching.read()
    assert first.snapshot
    assert [(c.position, c.item_id, c.available) for c in first.changes] == [(2, "b", True), (3, "a", False)]
    assert first.changes[0].attributes_json == '{"genre": ["a", "b"]}'
    assert first.position == 3
    await write("c", created_time=stamp(NOW_US))
    await write("b", deleted=True)
    later = []
    while len(later) < 2:
        later.extend((await watching.read()).changes)
    assert [(c.position, c.item_id, c.deleted) for c in later] == [(4, "c", False), (5, "b", True)]
    assert later[0].created_us == NOW_US
    watching.cancel()
    resumed = door[0].WatchItems(feature_store_service_pb2.WatchItemsRequest(from_position=4))
    head = await resumed.read()
    assert (head.snapshot, head.position) == (False, 4)
    assert [c.position for c in (await resumed.read()).changes] == [5]
    resumed.cancel()
    ahead = door[0].WatchItems(feature_store_service_pb2.WatchItemsRequest(from_position=99))
    assert (await ahead.read()).snapshot
    ahead.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ahead.read()
