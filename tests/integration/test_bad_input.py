"""The issue's list of bad input, each through gRPC against the whole stack: a full answer, or a refusal by field."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from penchant.answers import Slate
from penchant.bundle import MANIFEST, file_checksums, publish
from penchant.client import Client
from penchant.errors import InvalidArgument
from penchant.leaves import Condition
from penchant.v1 import event_pb2, ingestion_service_pb2, ingestion_service_pb2_grpc
from penchant.v1 import recommender_service_pb2 as messages
from penchant.v1 import recommender_service_pb2_grpc as rpc
from penchant.writes import EventWrite, ItemWrite, UserWrite

BUNDLE = "walks-1"
DAY_S = 86_400


@pytest.fixture(scope="module")
def running(start_stack: Any, new_redis: Callable[[], str]) -> Any:
    """One standalone stack for the module."""
    return start_stack("standalone", new_redis())


@pytest.fixture(scope="module")
def client(running: Any) -> Client:
    """Of its front door."""
    return running.client()


@pytest.fixture(scope="module")
def catalogue(client: Client) -> list[str]:
    """Ids of every item there is."""
    return sorted(ids(client.recommend_items(1000)), key=lambda i: int(i[1:]))


@pytest.fixture
def raw(running: Any) -> Iterator[Any]:
    """Stubs of the front door, for what the typed client would not send."""
    with running.channel() as channel:
        yield rpc.RecommenderServiceStub(channel)


def ids(slate: Slate) -> list[str]:
    return [item.item_id for item in slate.items]


def whole(slate: Slate, count: int) -> None:
    """A slate as it should be: full, ranked, nothing degraded, each item once, only numbers."""
    assert len(slate.items) == count
    assert slate.degraded_stages == ()
    assert len(set(ids(slate))) == count
    assert [item.position for item in slate.items] == list(range(count))
    assert all(item.task_scores and item.sources for item in slate.items)
    assert np.isfinite([[i.score, i.retrieval_score, i.propensity] for i in slate.items]).all()
    scores = [item.score for item in slate.items]
    assert scores == sorted(scores, reverse=True)


def acted(client: Client, user: str, items: list[str], kind: str = "click") -> int:
    """Events of a user; their write token."""
    events = [EventWrite(user_id=user, item_id=item, event_type=kind) for item in items]
    written = client.write_events(events)
    assert (written.accepted, written.rejections) == (len(items), ())
    return written.position


def test_a_known_user_gets_a_slate_from_several_sources(client: Client, catalogue: list[str]) -> None:
    token = acted(client, "known", catalogue[:5])
    slate = client.recommend_items(10, user_id="known", token=token)
    whole(slate, 10)
    assert slate.token_satisfied
    assert slate.versions.events_applied_through >= token
    assert len({source for item in slate.items for source in item.sources}) >= 3
    assert not set(ids(slate)) & set(catalogue[:5])


def test_an_unknown_user_gets_a_slate(client: Client) -> None:
    whole(client.recommend_items(10, user_id="never seen before"), 10)


def test_a_request_without_any_identity_gets_a_slate(client: Client) -> None:
    whole(client.recommend_items(10), 10)


def test_a_user_with_attributes_but_no_history_gets_a_slate(client: Client) -> None:
    assert client.write_users([UserWrite(user_id="described", attributes={"plan": "paid"})]).accepted == 1
    whole(client.recommend_items(10, user_id="described"), 10)


def test_a_user_who_saw_all_of_retrievals_candidates_gets_others(client: Client, catalogue: list[str]) -> None:
    token = acted(client, "glutton", catalogue[:-3])
    slate = client.recommend_items(10, user_id="glutton", token=token)
    assert sorted(ids(slate)) == sorted(catalogue[-3:])


def test_a_user_who_saw_everything_sees_it_again_but_nothing_hidden(client: Client, catalogue: list[str]) -> None:
    acted(client, "all seen", catalogue)
    token = acted(client, "all seen", catalogue[:2], "hide")
    slate = client.recommend_items(10, user_id="all seen", token=token)
    assert len(slate.items) == 10
    assert not set(ids(slate)) & set(catalogue[:2])
    assert slate.degraded_stages == ("filter_seen:nothing unseen is left",)


def test_hidden_items_never_return(client: Client, catalogue: list[str]) -> None:
    token = acted(client, "picky", catalogue[:20], "hide")
    slate = client.recommend_items(1000, user_id="picky", token=token, include_seen=True)
    assert sorted(ids(slate)) == sorted(catalogue[20:])


def test_one_users_events_never_show_in_anothers_slate(client: Client, catalogue: list[str]) -> None:
    before = client.recommend_items(1000, user_id="bystander")
    acted(client, "actor", catalogue[:20], "hide")
    acted(client, "actor", catalogue[20:40])
    after = client.recommend_items(1000, user_id="bystander")
    assert ids(before) == ids(after)
    anonymous = client.recommend_items(1000, anonymous_id="actor")
    assert ids(anonymous) == ids(client.recommend_items(1000))


def test_unknown_item_ids_are_ignored(client: Client) -> None:
    slate = client.recommend_items(10, user_id="ann", excluded=["no such item"], candidates=["nor this"])
    whole(slate, 10)


def test_an_event_for_an_unknown_item_is_taken_and_harms_nothing(client: Client) -> None:
    token = acted(client, "explorer", ["an item nobody described"])
    whole(client.recommend_items(10, user_id="explorer", token=token), 10)


def test_similar_to_an_unknown_item_are_popular_ones(client: Client) -> None:
    slate = client.recommend_similar_items("no such item", 5)
    assert len(slate.items) == 5
    assert slate.degraded_stages == ("retrieve:unknown item, popular ones instead",)


def test_similar_items_are_others(client: Client, catalogue: list[str]) -> None:
    slate = client.recommend_similar_items(catalogue[3], 1000)
    assert sorted(ids(slate)) == sorted(set(catalogue) - {catalogue[3]})
    assert slate.degraded_stages == ()


def test_similar_users_of_a_user_without_history_are_none(client: Client) -> None:
    found = client.recommend_similar_users("nobody at all", 5)
    assert found.users == ()
    assert found.degraded_stages == ()


def test_similar_users_have_ids_and_cosines(client: Client, catalogue: list[str]) -> None:
    acted(client, "like others", catalogue[:6])
    found = client.recommend_similar_users("like others", 5)
    assert len(found.users) == 5
    assert all(u.user_id.startswith("u") and -1.001 <= u.score <= 1.001 for u in found.users)


def test_a_deleted_item_is_on_no_slate_and_comes_back_when_written_again(client: Client, catalogue: list[str]) -> None:
    gone = catalogue[7]
    client.write_items([ItemWrite(item_id=gone, deleted=True)])
    until(lambda: gone not in ids(client.recommend_items(1000)))
    assert gone not in ids(client.recommend_similar_items(catalogue[6], 1000))
    assert len(client.recommend_similar_items(gone, 5).items) == 5
    assert gone not in ids(client.recommend_items(1000, candidates=[gone], sources=["caller", "popular"]))
    client.write_items([ItemWrite(item_id=gone)])
    until(lambda: gone in ids(client.recommend_items(1000)))


def test_an_item_taken_off_is_on_no_slate(client: Client, catalogue: list[str]) -> None:
    client.write_items([ItemWrite(item_id=catalogue[8], available=False)])
    until(lambda: catalogue[8] not in ids(client.recommend_items(1000)))
    client.write_items([ItemWrite(item_id=catalogue[8])])
    until(lambda: catalogue[8] in ids(client.recommend_items(1000)))


def test_an_item_without_any_features_is_served(client: Client) -> None:
    client.write_items([ItemWrite(item_id="bare")])
    until(lambda: "bare" in ids(client.recommend_items(1000)))
    slate = client.recommend_items(1000, user_id="ann")
    assert slate.degraded_stages == ()
    bare = next(item for item in slate.items if item.item_id == "bare")
    assert np.isfinite([bare.score, *bare.task_scores.values()]).all()
    assert len(client.recommend_similar_items("bare", 3).items) == 3
    client.write_items([ItemWrite(item_id="bare", deleted=True)])
    until(lambda: "bare" not in ids(client.recommend_items(1000)))


def test_k_above_the_catalogue_gives_the_catalogue(client: Client, catalogue: list[str]) -> None:
    assert sorted(ids(client.recommend_items(1000, user_id="new"))) == sorted(catalogue)


def test_ten_thousand_excluded_ids(client: Client, catalogue: list[str]) -> None:
    excluded = catalogue[:-5] + [f"other {n}" for n in range(10_000 - len(catalogue) + 5)]
    slate = client.recommend_items(10, user_id="ann", excluded=excluded)
    assert sorted(ids(slate)) == sorted(catalogue[-5:])
    with pytest.raises(InvalidArgument, match="excluded_item_ids"):
        client.recommend_items(10, user_id="ann", excluded=[*excluded, "one more"])


def test_everything_excluded_is_an_empty_slate_that_says_so(client: Client, catalogue: list[str]) -> None:
    slate = client.recommend_items(10, user_id="ann", excluded=catalogue)
    assert slate.items == ()
    assert slate.degraded_stages


def test_everything_filtered_out_is_an_empty_slate_that_says_so(client: Client) -> None:
    slate = client.recommend_items(10, user_id="ann", conditions=[Condition("genre", ("no such genre",))])
    assert slate.items == ()
    assert slate.degraded_stages


def test_filters_hold(client: Client) -> None:
    dramas = client.recommend_items(1000, user_id="ann", conditions=[Condition("genre", ("drama",))])
    assert dramas.items
    assert all(int(i[1:]) % 3 == 1 for i in ids(dramas))
    cheap = client.recommend_items(1000, user_id="ann", conditions=[Condition("price", maximum=10.0)])
    assert cheap.items
    assert all(int(i[1:]) <= 10 for i in ids(cheap))


def test_sources_of_ones_own(client: Client, catalogue: list[str]) -> None:
    slate = client.recommend_items(10, user_id="ann", candidates=catalogue[:4], sources=["caller"])
    assert sorted(ids(slate)) == sorted(catalogue[:4])
    for source in ("two_tower", "co_visitation", "content", "fresh", "popular"):
        assert client.recommend_items(5, user_id="a stranger", sources=[source]).items


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"max_items": 0}, "max_items"),
        ({"max_items": 1001}, "max_items"),
        ({"max_items": 2**32 - 1}, "max_items"),
        ({"user_id": "x" * 257}, "user_id"),
        ({"user_id": "ü" * 129}, "user_id"),
        ({"user_id": "a\0b"}, "user_id"),
        ({"session_id": "x" * 257}, "session_id"),
        ({"tenant": "x" * 65}, "tenant"),
        ({"placement": "x" * 65}, "placement"),
        ({"excluded_item_ids": ["x" * 257]}, "excluded_item_ids[0]"),
        ({"candidate_item_ids": ["i"] * 1001}, "candidate_item_ids"),
        ({"context": {str(i): "" for i in range(33)}}, "context"),
        ({"context": {"a": "x" * 257}}, "context"),
        ({"as_of": Timestamp(seconds=-1)}, "as_of"),
        ({"as_of": Timestamp(seconds=253_402_300_799)}, "as_of"),
        ({"as_of": Timestamp(nanos=-1)}, "as_of"),
        ({"token": event_pb2.WriteToken(position=-1)}, "token.position"),
        ({"time_zone": "Nowhere/Land"}, "time_zone"),
        ({"sources": ["magic"]}, "sources[0]"),
        ({"ranking": 77}, "ranking"),
        ({"filter": {"conditions": [{"attribute": "no such", "any_of": ["x"]}]}}, "filter.conditions[0].attribute"),
        ({"filter": {"conditions": [{"attribute": "genre"}]}}, "filter.conditions[0]"),
        ({"filter": {"conditions": [{"attribute": "genre", "any_of": ["x"] * 257}]}}, "filter.conditions[0].any_of"),
        ({"filter": {"conditions": [{"attribute": "genre", "minimum": 1.0}]}}, "filter.conditions[0]"),
        ({"filter": {"conditions": [{"attribute": "price", "any_of": ["1"]}]}}, "filter.conditions[0]"),
        ({"filter": {"conditions": [{"attribute": "price", "minimum": float("nan")}]}}, "filter.conditions[0].minimum"),
        ({"filter": {"conditions": [{"attribute": "price", "maximum": float("inf")}]}}, "filter.conditions[0].maximum"),
        ({"filter": {"conditions": [{"attribute": "price", "minimum": 1.0}] * 33}}, "filter.conditions"),
    ],
)
def test_a_request_out_of_bounds_is_refused_by_field(raw: Any, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        raw.RecommendItems(messages.RecommendItemsRequest(**{"user_id": "ann", "max_items": 5, **fields}), timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith(field)


def test_bytes_that_are_no_message_are_refused(running: Any) -> None:
    with running.channel() as channel:
        call = channel.unary_unary("/penchant.v1.RecommenderService/RecommendItems")
        for data in (b"\xff\xff\xff", b"\x1a\x02\xff\xfe"):
            with pytest.raises(grpc.RpcError) as caught:
                call(data, timeout=10)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_empty_strings_are_an_absent_identity_and_no_items(client: Client) -> None:
    whole(client.recommend_items(10, user_id="", excluded=["", ""], candidates=[""]), 10)
    with pytest.raises(InvalidArgument, match="item_id"):
        client.recommend_similar_items("", 5)
    with pytest.raises(InvalidArgument, match="user_id"):
        client.recommend_similar_users("", 5)


def refused_event(client: Client, **fields: Any) -> str:
    """The field that an event is rejected for, beside a good event that is taken."""
    good = EventWrite(user_id="ann", item_id="i1", event_type="view")
    bad = EventWrite(**{"user_id": "ann", "item_id": "i1", "event_type": "click", **fields})
    written = client.write_events([good, bad])
    assert written.accepted == 1
    (rejection,) = written.rejections
    assert rejection.index == 1
    assert rejection.reason
    return rejection.field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"event_type": "teleport"}, "event_type"),
        ({"event_type": ""}, "event_type"),
        ({"item_id": ""}, "item_id"),
        ({"item_id": "x" * 257}, "item_id"),
        ({"item_id": "a\0b"}, "item_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "x" * 257}, "user_id"),
        ({"event_id": "x" * 129}, "event_id"),
        ({"value": float("nan")}, "value"),
        ({"value": float("inf")}, "value"),
        ({"event_type": "search", "item_id": "", "text": "x" * 4097}, "text"),
        ({"event_time": datetime(1969, 12, 31, tzinfo=UTC)}, "event_time"),
        ({"event_time": datetime(9000, 1, 1, tzinfo=UTC)}, "event_time"),
        ({"context": {str(i): "" for i in range(33)}}, "context"),
    ],
)
def test_a_bad_event_is_rejected_by_field_and_the_others_are_taken(
    client: Client, fields: dict[str, Any], field: str
) -> None:
    assert refused_event(client, **fields).startswith(field)


def test_an_event_without_item_is_taken_where_its_type_allows(client: Client) -> None:
    searched = EventWrite(user_id="searcher", event_type="search", text="westerns")
    written = client.write_events([searched])
    assert (written.accepted, written.rejections) == (1, ())
    whole(client.recommend_items(5, user_id="searcher", token=written.position), 5)


def test_batches_have_bounds(running: Any) -> None:
    event = event_pb2.Event(user_id="ann", item_id="i1", event_type="view")
    with running.channel() as channel:
        stub = ingestion_service_pb2_grpc.IngestionServiceStub(channel)
        for events in ([], [event] * 1001):
            with pytest.raises(grpc.RpcError) as caught:
                stub.WriteEvents(ingestion_service_pb2.WriteEventsRequest(events=events), timeout=10)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_bad_item_or_user_is_rejected_by_field(client: Client) -> None:
    items = client.write_items([ItemWrite(item_id=""), ItemWrite(item_id="x", attributes={"price": float("nan")})])
    assert items.accepted == 0
    assert [r.index for r in items.rejections] == [0, 1]
    users = client.write_users([UserWrite(user_id="x" * 257)])
    assert (users.accepted, users.rejections[0].field) == (0, "user_id")


def test_an_answer_as_of_long_ago_comes(client: Client) -> None:
    whole(client.recommend_items(5, user_id="known", as_of=datetime(1970, 1, 1, tzinfo=UTC)), 5)
    whole(client.recommend_items(5, user_id="known", as_of=datetime(2001, 1, 1, tzinfo=UTC)), 5)


def test_a_token_from_the_future_does_not_hold_the_answer_beyond_the_deadline(running: Any) -> None:
    slate = running.client(deadline_s=2.0).recommend_items(5, user_id="ann", token=10**12)
    assert len(slate.items) == 5
    assert not slate.token_satisfied


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for what happens soon."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def wrong_checksum(folder: Path, manifest: dict[str, Any]) -> None:
    path = folder / "items" / "features.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def wrong_schema(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["schema_fingerprint"] = "0" * 16


def wrong_shape(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["models"]["ranker"]["inputs"][0]["shape"] = [-1, 3]


def wrong_output(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["tasks"] = ["engage", "buy"]


def wrong_format(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["format"] = 99


def missing_file(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / "retrieval" / "popular.rows.npy").unlink()


def broken_model(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / "ranker" / "ranker.onnx").write_bytes(b"no onnx")
    manifest["files"] = file_checksums(folder)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (wrong_checksum, "sha256"),
        (wrong_schema, "fingerprint"),
        (wrong_shape, "ranker"),
        (wrong_output, "ranker"),
        (wrong_format, "format"),
        (missing_file, "popular.rows.npy"),
        (broken_model, "ranker.onnx"),
    ],
)
def test_a_mismatched_bundle_is_refused_and_the_old_one_goes_on_serving(
    running: Any, client: Client, damage: Callable[[Path, dict[str, Any]], None], said: str
) -> None:
    version = f"bad-{damage.__name__}"
    folder = running.bundles / version
    shutil.copytree(running.bundles / BUNDLE, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["version"] = version
    damage(folder, manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    publish(running.bundles, version)
    try:
        until(lambda: bool(client.status().refused_bundle))
        assert said in client.status().refused_bundle
        assert client.status().bundle_versions == (BUNDLE,)
        slate = client.recommend_items(5, user_id="ann")
        whole(slate, 5)
        assert slate.versions.bundle == BUNDLE
    finally:
        publish(running.bundles, BUNDLE)
        until(lambda: not client.status().refused_bundle)


def test_a_good_bundle_takes_over_and_can_be_rolled_back(running: Any, client: Client) -> None:
    folder = running.bundles / "walks-2"
    shutil.copytree(running.bundles / BUNDLE, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["version"] = "walks-2"
    (folder / MANIFEST).write_text(json.dumps(manifest))
    publish(running.bundles, "walks-2")
    until(lambda: client.recommend_items(5, user_id="ann").versions.bundle == "walks-2")
    whole(client.recommend_items(5, user_id="ann"), 5)
    publish(running.bundles, BUNDLE)
    until(lambda: client.recommend_items(5, user_id="ann").versions.bundle == BUNDLE)


def test_the_process_never_crashed_nor_lost_a_call(running: Any, client: Client) -> None:
    assert running.supervisor.process("standalone")["restarts"] == 0
    log = (running.folder / "run" / "standalone.log").read_text()
    assert "Traceback" not in log
    assert "internal error" not in log
