"""The command line against a real gRPC server that answers what it was asked."""

import io
import json
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from penchant.bundle import FORMAT, Manifest, file_checksums, publish, write_manifest
from penchant.cli import main
from penchant.errors import LogError, PenchantError, ServiceUnavailable, StoreUnavailable
from penchant.v1 import event_pb2, ingestion_service_pb2, recommender_service_pb2, status_service_pb2
from penchant.v1 import ingestion_service_pb2_grpc as ingestion_rpc
from penchant.v1 import recommender_service_pb2_grpc as recommender_rpc
from penchant.v1 import status_service_pb2_grpc as status_rpc
from services.runtime.wire_errors import code_of, trailing_metadata


class Server(
    recommender_rpc.RecommenderServiceServicer,
    ingestion_rpc.IngestionServiceServicer,
    status_rpc.StatusServiceServicer,
):
    """Keeps requests; refuses events without a type it knows."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.metadata: dict[str, Any] = {}
        self.busy = False
        self.broken_from = 0
        self.failure: grpc.StatusCode | None = None
        self.refusal: PenchantError | None = None
        self.more: dict[str, float] = {}

    def RecommendItems(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        if self.failure:
            context.abort(self.failure, "told to fail")
        if self.refusal:
            context.set_trailing_metadata(trailing_metadata(self.refusal))
            context.abort(code_of(self.refusal), str(self.refusal))
        if request.max_items == 0:
            violation = error_details_pb2.BadRequest.FieldViolation(field="max_items", description="is 0")
            status = status_pb2.Status(code=3, message="max_items: is 0")
            status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "max_items: is 0")
        item = recommender_service_pb2.RecommendedItem(
            item_id="film\x1b[2J", score=2.5, sources=["two_tower", "popular"], task_scores={"like": 0.75}, propensity=1
        )
        return recommender_service_pb2.RecommendItemsResponse(
            recommendation_id="r1",
            items=[item],
            versions=recommender_service_pb2.AnswerVersions(bundle="b1", policy="p1"),
            degraded_stages=["score:deadline"],
        )

    def RecommendSimilarItems(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        return recommender_service_pb2.RecommendSimilarItemsResponse(recommendation_id="r2")

    def RecommendSimilarUsers(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        return recommender_service_pb2.RecommendSimilarUsersResponse(
            users=[recommender_service_pb2.SimilarUser(user_id="bob", score=0.5)]
        )

    def StreamEvents(self, requests: Any, context: Any) -> Any:  # noqa: N802
        for request in requests:
            if self.broken_from and len(self.requests) + 1 >= self.broken_from:
                context.abort(grpc.StatusCode.INTERNAL, "no more")
            if self.busy:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
            self.requests.append(request)
            rejections = [
                event_pb2.Rejection(index=i, field="event_type", reason="unknown type")
                for i, event in enumerate(request.events)
                if event.event_type == "bad"
            ]
            yield ingestion_service_pb2.StreamEventsResponse(
                accepted=len(request.events) - len(rejections),
                rejections=rejections,
                token=event_pb2.WriteToken(position=len(self.requests)),
            )

    def GetStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        return status_service_pb2.GetStatusResponse(
            service="standalone", version="0.1.0", bundle_versions=["b1"], metrics={"slates_answered": 3, **self.more}
        )


@pytest.fixture
def served() -> Iterator[tuple[Server, str]]:
    """The servicer and where it listens."""
    servicer = Server()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    recommender_rpc.add_RecommenderServiceServicer_to_server(servicer, server)
    ingestion_rpc.add_IngestionServiceServicer_to_server(servicer, server)
    status_rpc.add_StatusServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(None)


def test_a_slate_is_a_table_for_people(served: Any, capsys: Any) -> None:
    _, address = served
    assert main(["recommend", "--user", "ann", "--address", address]) == 0
    out = capsys.readouterr().out
    assert "two_tower popular" in out
    assert "0.7500" in out
    assert "degraded score:deadline" in out
    assert "\x1b" not in out


def test_a_slate_is_one_json_object_for_programs(served: Any, capsys: Any) -> None:
    server, address = served
    arguments = ["--filter", "genre=Drama|Comedy", "--filter", "year>=1990", "--exclude", "a", "--exclude", "b"]
    assert main(["recommend", "--user", "ann", "-k", "3", "--json", "--address", address, *arguments]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["recommendation_id"] == "r1"
    assert answer["items"][0]["task_scores"] == {"like": 0.75}
    (request,) = server.requests
    assert (request.user_id, request.max_items) == ("ann", 3)
    assert list(request.excluded_item_ids) == ["a", "b"]
    assert list(request.filter.conditions[0].any_of) == ["Drama", "Comedy"]
    assert request.filter.conditions[1].minimum == 1990


def test_the_token_travels(served: Any, capsys: Any) -> None:
    server, address = served
    assert main(["recommend", "--address", address, "--token", "secret"]) == 0
    assert server.metadata["authorization"] == "Bearer secret"


def test_a_refused_request_is_one_line_with_the_field(served: Any, capsys: Any) -> None:
    _, address = served
    assert main(["recommend", "-k", "0", "--address", address]) == 1
    assert capsys.readouterr().err == "penchant: max_items: is 0\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "PENCHANT_TOKEN"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "--deadline"),
        (grpc.StatusCode.INTERNAL, "told to fail"),
    ],
)
def test_a_failed_call_is_one_line_with_a_remedy(served: Any, capsys: Any, code: Any, said: str) -> None:
    server, address = served
    server.failure = code
    assert main(["recommend", "--address", address]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("metric", "said"), [("ingestion_behind", "until the online store holds"), ("ingestion_fenced", "a newer feature")]
)
def test_status_leads_with_what_keeps_writes_out(served: Any, capsys: Any, metric: str, said: str) -> None:
    server, address = served
    server.more = {metric: 0.0}
    assert main(["status", "--address", address]) == 0
    assert "degraded" not in capsys.readouterr().out
    server.more = {metric: 1.0}
    assert main(["status", "--address", address]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("degraded: writes are refused")
    assert said in first


def test_no_server_is_one_line_with_a_remedy(capsys: Any) -> None:
    assert main(["status", "--address", "127.0.0.1:1"]) == 1
    err = capsys.readouterr().err
    assert err == (
        "penchant: no server answers at 127.0.0.1:1: start one with `make up`, or give --address HOST:PORT\n"
    )  # fmt: skip


@pytest.mark.parametrize("kind", [StoreUnavailable, LogError, ServiceUnavailable])
def test_what_the_server_says_of_its_own_trouble_is_passed_on(served: Any, capsys: Any, kind: Any) -> None:
    server, address = served
    server.refusal = kind("Redis does not answer: start it")
    assert main(["recommend", "--address", address]) == 1
    err = capsys.readouterr().err
    assert "Redis does not answer: start it" in err
    assert "make up" not in err


def test_an_unavailable_server_s_text_is_shown(served: Any, capsys: Any) -> None:
    server, address = served
    server.failure = grpc.StatusCode.UNAVAILABLE
    assert main(["recommend", "--address", address]) == 1
    err = capsys.readouterr().err
    assert "told to fail" in err
    assert "make up" not in err


def test_a_port_that_speaks_something_else_is_no_missing_server(capsys: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            with other.accept()[0] as connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        assert main(["status", "--address", address]) == 1
        answering.join()
    err = capsys.readouterr().err
    assert f"{address} answers, but not as a server of penchant" in err
    assert "make up" not in err


def test_a_bad_authority_is_named(capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("garbage")
    assert main(["status", "--tls-authority", str(tmp_path / "ca.pem")]) == 2
    assert "ca.pem holds no certificate" in capsys.readouterr().err


def test_similar_items_and_users(served: Any, capsys: Any) -> None:
    server, address = served
    assert main(["similar", "--item", "film", "-k", "4", "--address", address]) == 0
    assert (server.requests[0].item_id, server.requests[0].max_items) == ("film", 4)
    assert main(["similar-users", "--user", "ann", "--address", address]) == 0
    assert "bob" in capsys.readouterr().out


def test_events_of_json_lines_are_sent_in_batches(served: Any, capsys: Any, tmp_path: Path) -> None:
    server, address = served
    file = tmp_path / "events.jsonl"
    file.write_text(
        '{"user_id": "ann", "item_id": "a", "event_type": "click", "event_time": 1700000000.5}\n'
        '{"user_id": "ann", "item_id": 7, "event_type": "bad", "value": 4.5, "context": {"country": "DE"}}\n'
        "\n"
        '{"user_id": "ann", "item_id": "c", "event_type": "bad", "event_time": "2023-11-14T22:13:20Z"}\n'
    )
    assert main(["send", str(file), "--batch", "2", "--address", address]) == 1
    out = capsys.readouterr().out
    assert "accepted 1, rejected 2, token 2" in out
    assert "2      event_type  unknown type" in out
    first, second = server.requests
    assert (first.events[0].event_time.seconds, first.events[0].event_time.nanos) == (1_700_000_000, 500_000_000)
    assert (first.events[1].item_id, first.events[1].value, dict(first.events[1].context)) == (
        "7",
        4.5,
        {"country": "DE"},
    )
    assert second.events[0].event_time.seconds == 1_700_000_000
    assert not first.events[0].HasField("value")


def test_events_of_csv_come_from_stdin(served: Any, capsys: Any, monkeypatch: Any) -> None:
    server, address = served
    monkeypatch.setattr(
        sys, "stdin", io.StringIO("user_id\titem_id\tevent_type\tvalue\nann\ta\trating\t4\nann\tb\tclick\t\n")
    )
    assert main(["send", "-", "--json", "--address", address]) == 0
    assert json.loads(capsys.readouterr().out) == {"accepted": 2, "rejections": [], "position": 1}
    (request,) = server.requests
    assert [e.item_id for e in request.events] == ["a", "b"]
    assert not request.events[1].HasField("value")


def test_one_bad_line_after_many_good_ones_sends_nothing(served: Any, capsys: Any, tmp_path: Path) -> None:
    server, address = served
    file = tmp_path / "events.jsonl"
    good = '{"user_id": "ann", "item_id": "a", "event_type": "click"}\n'
    for bad in ('"position": -1', '"position": 3000000000000', '"item_id": "\\ud800"'):
        file.write_text(good * 600 + '{"user_id": "ann", "event_type": "click", ' + bad + "}\n")
        assert main(["send", str(file), "--address", address]) == 2
        assert f"events.jsonl:601 [{bad.split(chr(34))[1]}]" in capsys.readouterr().err
    assert server.requests == []


def test_a_bad_line_of_stdin_sends_nothing(served: Any, capsys: Any, monkeypatch: Any) -> None:
    server, address = served
    good = '{"user_id": "ann", "item_id": "a", "event_type": "click"}\n'
    monkeypatch.setattr(sys, "stdin", io.StringIO(good * 600 + "{\n"))
    assert main(["send", "-", "--address", address]) == 2
    assert "stdin:601" in capsys.readouterr().err
    assert server.requests == []


def test_a_json_array_is_sent(served: Any, capsys: Any, tmp_path: Path) -> None:
    _, address = served
    file = tmp_path / "events.json"
    file.write_text('[{"user_id": "ann", "item_id": "a", "event_type": "click"}]')
    assert main(["send", str(file), "--address", address]) == 0
    assert "accepted 1, rejected 0, token 1" in capsys.readouterr().out


def test_nothing_taken_is_no_success(served: Any, capsys: Any, tmp_path: Path) -> None:
    _, address = served
    file = tmp_path / "events.csv"
    file.write_text("user_id,event_type\nann,bad\n")
    assert main(["send", str(file), "--address", address]) == 1
    assert main(["send", str(file), "--json", "--address", address]) == 1


def test_a_failure_half_way_says_how_far_it_came(served: Any, capsys: Any, tmp_path: Path) -> None:
    server, address = served
    server.broken_from = 3
    file = tmp_path / "events.csv"
    file.write_text("user_id,item_id,event_type\n" + "ann,a,click\n" * 25)
    assert main(["send", str(file), "--batch", "10", "--address", address]) == 1
    assert "no more (the first 20 events were sent, of the next 5 nothing is known)" in capsys.readouterr().err


def test_a_front_door_that_takes_no_more_streams_says_so(served: Any, capsys: Any, tmp_path: Path) -> None:
    server, address = served
    server.busy = True
    file = tmp_path / "events.csv"
    file.write_text("user_id,item_id,event_type\nann,a,click\n")
    assert main(["send", str(file), "--address", address]) == 1
    assert "busy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"user_id": "ann"}', "event_type"),
        ('{"event_type": "click", "colour": "red"}', "unknown field 'colour'"),
        ('{"event_type": "click", "value": "many"}', "[value]"),
        ('{"event_type": "click", "event_time": "yesterday"}', "[event_time]"),
        ('{"event_type": "click", "event_time": 1e300}', "[event_time]"),
        ('{"event_type": "click", "context": 5}', "[context]"),
        ('{"event_type": ["click"]}', "[event_type]"),
        ('{"event_type": "click"}\n[1]', ":2"),
        ('{"event_type": "click"}\n{', ":2"),
        ("user_id,event_type\nann,click,more\n", "columns"),
        ("user_id,event_type\nann\n", "columns"),
        ("user,event_type\nann,click\n", "unknown field 'user'"),
        ('user_id,event_type\n"ann,click\n', "CSV"),
    ],
)
def test_a_bad_file_is_refused_whole_with_its_place(
    served: Any, capsys: Any, tmp_path: Path, text: str, said: str
) -> None:
    server, address = served
    file = tmp_path / "events.txt"
    file.write_text(text)
    assert main(["send", str(file), "--address", address]) == 2
    assert said in capsys.readouterr().err
    assert server.requests == []


def test_a_missing_or_binary_file_is_one_line(capsys: Any, tmp_path: Path) -> None:
    assert main(["send", str(tmp_path / "nothing")]) == 2
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert main(["send", str(tmp_path / "binary")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.parametrize("text", ["genre", "year>=old", "=x", "genre=", "year<=nan"])
def test_a_bad_filter_is_a_usage_error(text: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["recommend", "--filter", text])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "--deadline", "-1"], "--deadline: is -1.0, it must be above 0"),
        (["status", "--deadline", "nan"], "--deadline: is nan, it must be above 0"),
        (["status", "--deadline", "soon"], "--deadline: 'soon' is no number of seconds"),
        (["status", "--token", "ü"], "--token: holds what a header cannot carry"),
        (["send", "x", "--batch", "x"], "--batch: 'x' is no whole number from 1 to 1000"),
        (["send", "x", "--batch", "0"], "--batch: '0' is no whole number from 1 to 1000"),
    ],
)
def test_a_bad_argument_is_a_usage_error_that_says_what_is_meant(capsys: Any, arguments: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_status(served: Any, capsys: Any) -> None:
    _, address = served
    assert main(["status", "--address", address]) == 0
    assert "slates_answered" in capsys.readouterr().out
    assert main(["status", "--json", "--address", address]) == 0
    assert json.loads(capsys.readouterr().out)["bundle_versions"] == ["b1"]


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    folder = tmp_path / "b1"
    folder.mkdir()
    (folder / "data.bin").write_bytes(b"1234")
    manifest = Manifest(
        "b1", FORMAT, "2026-01-01T00:00:00Z", "toy", {}, 0, 0, 3, 2, 5, "f", {}, {}, ("like",), {"like": 1.0}, {},
        file_checksums(folder), {"ndcg@10": 0.25},
    )  # fmt: skip
    write_manifest(folder, manifest)
    publish(tmp_path, "b1")
    return tmp_path


def test_a_bundle_is_checked_and_described(bundles: Path, capsys: Any) -> None:
    assert main(["inspect", str(bundles)]) == 0
    out = capsys.readouterr().out
    assert "data.bin" in out
    assert "ndcg@10" in out
    assert main(["inspect", str(bundles / "b1"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verified"] is True


def test_a_changed_bundle_is_refused(bundles: Path, capsys: Any) -> None:
    (bundles / "b1" / "data.bin").write_bytes(b"1235")
    assert main(["inspect", str(bundles), "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["verified"] is False
    assert "sha256" in captured.err


def test_no_bundle_is_a_usage_error(tmp_path: Path, capsys: Any) -> None:
    assert main(["inspect", str(tmp_path / "nothing")]) == 2
