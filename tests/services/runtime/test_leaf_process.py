"""The leaves as processes: configured by environment, answering, stopped by SIGTERM with status 0."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from penchant.v1 import status_service_pb2, status_service_pb2_grpc


def start(service: str, folder: Path, **overrides: str) -> subprocess.Popen[str]:
    variables = {f"PENCHANT_{service.upper()}__{name}": value for name, value in overrides.items()}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PENCHANT_")}
    return subprocess.Popen(
        [sys.executable, "-m", f"services.{service}"], cwd=folder, stderr=subprocess.PIPE, text=True,
        env={**outside, **variables, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip


@pytest.mark.parametrize(("service", "feature_store"), [("candidate_gen", ""), ("ranker", "127.0.0.1:1")])
def test_a_leaf_starts_answers_and_stops_without_a_feature_store_too(
    service: str, feature_store: str, pristine: Path, tmp_path: Path
) -> None:
    process = start(
        service, tmp_path, PORT="0", BUNDLES=str(pristine), FEATURE_STORE=feature_store, LOG_FORMAT="json"
    )  # fmt: skip
    try:
        assert process.stderr is not None
        port = 0
        for line in process.stderr:
            if match := re.search(r'"port": (\d+).*"event": "listening"', line):
                port = int(match[1])
                break
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            check = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=120)
            assert any(answer.status == health_pb2.HealthCheckResponse.SERVING for answer in check)
            check.cancel()
            stub = status_service_pb2_grpc.StatusServiceStub(channel)
            status = stub.GetStatus(status_service_pb2.GetStatusRequest(), timeout=60)
            assert (status.service, list(status.bundle_versions)) == (service, ["walks-1"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_bad_configuration_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    process = start("ranker", tmp_path, PROT="1")
    _, written = process.communicate(timeout=120)
    assert process.returncode == 2
    assert written.strip() == (
        "error: unknown environment variable PENCHANT_RANKER__PROT: did you mean 'PENCHANT_RANKER__PORT'?"
    )
