"""The real process: started as the stack starts it, killed in the middle, started again."""

import os
import signal
import subprocess
import sys
import time

import grpc
import numpy as np
import pytest
from store_world import penchant_plan

from penchant.ids import key
from penchant.v1 import event_pb2, feature_store_service_pb2, ingestion_service_pb2
from penchant.v1.feature_store_service_pb2_grpc import FeatureStoreServiceStub
from penchant.v1.ingestion_service_pb2_grpc import IngestionServiceStub
from stack.ports import free_port


@pytest.fixture
def start(redis_url, tmp_path):
    """Starts `python -m services.feature_store`; gives the process and its address."""
    penchant_plan().write(tmp_path / "plan.json")
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PENCHANT_")},
        "PENCHANT_FEATURE_STORE__PORT": str(port),
        "PENCHANT_FEATURE_STORE__REDIS": redis_url,
        "PENCHANT_FEATURE_STORE__PLAN": str(tmp_path / "plan.json"),
        "PENCHANT_FEATURE_STORE__LOG": str(tmp_path / "log"),
        "PENCHANT_FEATURE_STORE__BUNDLES": str(tmp_path / "bundles"),
    }
    started = []

    def start():
        process = subprocess.Popen([sys.executable, "-m", "services.feature_store"], env=environment)
        started.append(process)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(20)
        return process, f"127.0.0.1:{port}"

    yield start
    for process in started:
        process.kill()
        process.wait()


def history(address: str) -> list[int]:
    with grpc.insecure_channel(address) as channel:
        request = feature_store_service_pb2.FetchFeaturesRequest(
            user_keys=[key("", "u")], as_of_us=time.time_ns() // 1000
        )
        (user,) = FeatureStoreServiceStub(channel).FetchFeatures(request, timeout=5).users
        return np.frombuffer(user.history_times, np.int64).tolist()


def test_a_killed_store_comes_back_with_every_answered_event_counted_once(start):
    process, address = start()
    answered = 0
    deadline = time.monotonic() + 2.0
    with grpc.insecure_channel(address) as channel:
        stub = IngestionServiceStub(channel)
        while time.monotonic() < deadline:
            event = event_pb2.Event(user_id="u", item_id=f"i{answered}", event_type="click", event_id=f"e{answered}")
            event.event_time.seconds = 1_700_000_000 + answered
            call = stub.WriteEvents.future(ingestion_service_pb2.WriteEventsRequest(events=[event]))
            if answered == 20:
                os.kill(process.pid, signal.SIGKILL)
                break
            call.result(5)
            answered += 1
    process.wait()
    process, address = start()
    found = history(address)
    expected = [(1_700_000_000 + n) * 1_000_000 for n in range(answered)]
    assert found[:answered] == expected
    assert len(found) in (answered, answered + 1)
    with grpc.insecure_channel(address) as channel:
        again = event_pb2.Event(user_id="u", item_id=f"i{answered}", event_type="click", event_id=f"e{answered}")
        again.event_time.seconds = 1_700_000_000 + answered
        request = ingestion_service_pb2.WriteEventsRequest(events=[again])
        assert IngestionServiceStub(channel).WriteEvents(request, timeout=5).accepted == 1
    assert history(address) == [*expected, (1_700_000_000 + answered) * 1_000_000]
    process.terminate()
    assert process.wait(10) == 0


def test_nothing_that_serves_imports_feast_or_torch():
    program = (
        "import sys, services.feature_store.__main__\n"
        "print([m for m in ('feast', 'torch', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_missing_plan_is_one_sentence_and_status_2(tmp_path):
    environment = {**os.environ, "PENCHANT_FEATURE_STORE__PLAN": str(tmp_path / "none.json")}
    found = subprocess.run(
        [sys.executable, "-m", "services.feature_store"], env=environment, capture_output=True, text=True
    )
    assert found.returncode == 2
    assert "python -m feature_repo apply" in found.stderr
