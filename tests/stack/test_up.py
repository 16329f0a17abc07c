"""`python -m stack up` refuses with a sentence what it cannot do, before it starts anything."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tiny import write_tiny_data

from penchant.bundle import current
from stack.__main__ import main
from stack.background import Background
from stack.layout import LISTENERS, ROOT, Layout
from stack.ports import free_run
from stack.published import remember


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def port() -> str:
    return str(free_run(len(LISTENERS)))


def test_a_bundle_of_other_data_is_not_served_in_its_place(tiny_bundles, run, port, tmp_path, capsys) -> None:
    data, bundles = tiny_bundles
    other = write_tiny_data(tmp_path / "shop", slates=20)
    text = (other / "dataset.toml").read_text()
    (other / "dataset.toml").write_text(text.replace('name = "tiny"', 'name = "shop"'))
    up = ["up", "--run", str(run), "--bundles", str(bundles), "--port", port]
    assert main([*up, "--data", str(other)]) == 1
    said = capsys.readouterr().err
    assert "trained on 'tiny', not on" in said
    assert "--run FOLDER" in said
    assert "--retrain" in said
    assert main([*up, "--data", str(data), "--recipe", "default"]) == 1
    assert "of recipe 'tiny', not 'default'" in capsys.readouterr().err
    assert main([*up, "--retrain"]) == 1
    assert "--retrain needs the data" in capsys.readouterr().err
    # The same name in another folder, where it is known which one was read.
    twin = write_tiny_data(tmp_path / "twin", slates=20)
    remember(Layout(run, bundles), data)
    assert main([*up, "--data", str(twin)]) == 1
    assert f"trained on {data}, not on {twin}" in capsys.readouterr().err
    assert Background(run).status() == {}


def test_a_damaged_bundle_is_one_sentence(tiny_bundles, run, port, tmp_path, capsys) -> None:
    bundles = tmp_path / "bundles"
    shutil.copytree(tiny_bundles[1], bundles)
    folder = current(bundles)
    assert folder is not None
    (folder / "retrieval" / "user_tower.onnx").write_bytes(b"x")
    started = time.monotonic()
    assert main(["up", "--run", str(run), "--bundles", str(bundles), "--port", port]) == 1
    said = capsys.readouterr().err
    assert "retrieval/user_tower.onnx has sha256" in said
    assert said.count("\n") == 1
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("port", ["0", "70000", "65533", "door", "-1"])
@pytest.mark.parametrize("module", ["stack", "stack.demo"])
def test_a_port_that_is_none_is_said(port, module, run) -> None:
    from stack.demo import main as demo

    arguments = ["--run", str(run), f"--port={port}"]
    with pytest.raises(SystemExit) as ended:
        main(["up", *arguments]) if module == "stack" else demo(arguments)
    assert ended.value.code == 2


def test_a_redis_that_is_none_is_said(run, port, capsys) -> None:
    assert main(["up", "--run", str(run), "--port", port, "--redis", "foo"]) == 1
    assert "'foo' is no Redis URL: write redis://host:port/db" in capsys.readouterr().err


def test_what_runs_is_not_what_was_asked_for(run, port, capsys) -> None:
    background = Background(run)
    layout = Layout(run, run / "bundles", "standalone", int(port))
    with holder(run, "supervisor.lock") as pid:
        background.describe("up", "", layout.said())
        assert main(["up", "--run", str(run)]) == 0
        assert f"already up: front door 127.0.0.1:{port}, supervisor {pid}" in capsys.readouterr().out
        assert main(["up", "--run", str(run), "--services", "separate"]) == 1
        said = capsys.readouterr().err
        assert "runs already, with services standalone, not separate" in said
        assert "make down" in said


def test_a_second_up_waits_for_no_second_training_and_down_ends_the_first(tiny_data, run, port, capsys) -> None:
    command = ["up", "--run", str(run), "--port", port, "--data", str(tiny_data), "--recipe", "tiny"]
    with (run / "said").open("wb") as said:
        first = subprocess.Popen([sys.executable, "-m", "stack", *command], cwd=ROOT, stdout=said, stderr=said)
    deadline = time.monotonic() + 60
    while Background(run).status().get("state") != "training":
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.02)
    assert main(command) == 1
    assert f"already training (pid {first.pid})" in capsys.readouterr().err
    assert main(["status", "--run", str(run)]) == 1
    assert capsys.readouterr().out.startswith(f"training (pid {first.pid}): log ")
    assert main(["down", "--run", str(run)]) == 0
    assert first.wait(30) == 130
    assert main(["status", "--run", str(run)]) == 1
    assert "down: start it" in capsys.readouterr().out
    left = [p for p in psutil.process_iter(["cmdline"]) if any(str(run) in t for t in p.info["cmdline"] or ())]
    assert left == []


def test_status_says_when_writes_are_refused(run, port, capsys) -> None:
    from concurrent import futures

    import grpc

    from penchant.v1 import status_service_pb2, status_service_pb2_grpc

    class Behind(status_service_pb2_grpc.StatusServiceServicer):
        def GetStatus(self, request, context):  # noqa: N802
            return status_service_pb2.GetStatusResponse(service="standalone", metrics={"ingestion_behind": 1.0})

    server = grpc.server(futures.ThreadPoolExecutor(1))
    status_service_pb2_grpc.add_StatusServiceServicer_to_server(Behind(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    with holder(run, "supervisor.lock"):
        Background(run).describe("up", "", Layout(run, run / "bundles", "standalone", int(port)).said())
        assert main(["status", "--run", str(run)]) == 1
        assert capsys.readouterr().out.startswith("degraded: writes are refused until the online store holds")
    server.stop(None)


class holder:  # noqa: N801
    """Another process that holds a lock of the run folder, as a supervisor does."""

    def __init__(self, run: Path, name: str) -> None:
        program = (
            "import sys, time; from pathlib import Path; from stack.background import Background\n"
            "lock = Background(Path(sys.argv[1]))._hold(sys.argv[2]); print('held', flush=True); time.sleep(60)"
        )
        command = [sys.executable, "-c", program, str(run), name]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ})

    def __enter__(self) -> int:
        assert self._process.stdout is not None
        self._process.stdout.readline()
        return self._process.pid

    def __exit__(self, *raised: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
