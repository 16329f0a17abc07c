"""The supervisor with real processes: crashes, kills, hangs, order, ports, logs."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from penchant.errors import ConfigError, ProcessFailed
from stack.health import TcpHealth
from stack.ports import free_port, is_free
from stack.supervised import ProcessSpec, tail
from stack.supervisor import STATUS, BackOff, Supervisor

QUICK = BackOff(first_s=0.05, factor=2.0, longest_s=0.2, failures=3, settled_s=0.5, silent_s=0.5)

LISTENER = """
import os, signal, socket, sys, time
port, log = int(sys.argv[1]), sys.argv[2]
def note(word):
    with open(log, "a") as file:
        file.write(f"{word} {port}\\n")
def stop(*_):
    note("stopped")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in sys.argv else stop)
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", port))
server.listen()
note("started")
print("listening on", port, flush=True)
while True:
    connection, _ = server.accept()
    connection.close()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def supervisor(folder: Path) -> Iterator[Supervisor]:
    with Supervisor(folder, QUICK, check_every_s=0.1) as running:
        yield running


def listener(tmp_path: Path, name: str, *extra: str, port: int | None = None) -> ProcessSpec:
    """A process that listens, and writes its start and stop into tmp_path/lives."""
    port = port or free_port()
    command = (sys.executable, "-I", "-S", "-c", LISTENER, str(port), str(tmp_path / "lives"), *extra)
    return ProcessSpec(name, command, TcpHealth("127.0.0.1", port), (port,), start_timeout_s=10.0, grace_s=5.0)


def lives(tmp_path: Path) -> list[str]:
    return (tmp_path / "lives").read_text().splitlines()


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_processes_start_in_order_stop_in_reverse_and_free_their_ports(tmp_path: Path, folder: Path) -> None:
    specs = [listener(tmp_path, name) for name in ("first", "second", "third")]
    ports = [spec.ports[0] for spec in specs]
    with Supervisor(folder) as supervisor:
        for spec in specs:
            supervisor.start(spec)
        pids = [supervisor.process(spec.name)["pid"] for spec in specs]
        assert all(psutil.pid_exists(pid) for pid in pids)
    started = [f"started {port}" for port in ports]
    assert lives(tmp_path) == started + [f"stopped {port}" for port in reversed(ports)]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert all(is_free(port) for port in ports)


def test_a_process_that_crashes_is_started_again(tmp_path: Path, supervisor: Supervisor) -> None:
    spec = listener(tmp_path, "leaf")
    supervisor.start(spec)
    first = supervisor.process("leaf")["pid"]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: supervisor.process("leaf")["state"] == "up" and supervisor.process("leaf")["pid"] != first)
    again = supervisor.process("leaf")
    assert again["restarts"] == 1
    assert spec.health.why_not(1.0) == ""
    assert "was ended by SIGKILL; started again in 0.05 s" in tail(Path(again["log"]))


def test_a_process_that_keeps_crashing_is_given_up_loudly(
    tmp_path: Path, supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    program = f"import sys, pathlib; p = pathlib.Path({str(tmp_path / 'once')!r})\n" + textwrap.dedent("""
        if p.exists():
            sys.exit("no more")
        p.touch()
        exec(sys.argv[3])
    """)
    command = (sys.executable, "-I", "-c", program, str(port), str(tmp_path / "lives"), LISTENER)
    supervisor.start(ProcessSpec("weak", command, TcpHealth("127.0.0.1", port), (port,)))
    os.kill(supervisor.process("weak")["pid"], signal.SIGKILL)
    wait_for(lambda: supervisor.process("weak")["state"] == "gave up")
    assert supervisor.process("weak")["restarts"] == QUICK.failures - 1
    with pytest.raises(ProcessFailed, match=r"(?s)weak failed 3 times in a row and is given up.*no more"):
        supervisor.require_up()
    assert "given up" in caplog.text


def test_a_process_that_hangs_is_killed_and_started_again(tmp_path: Path, supervisor: Supervisor) -> None:
    spec = listener(tmp_path, "leaf")
    hung = ProcessSpec("leaf", spec.command, _Answers(spec.health), spec.ports)
    supervisor.start(hung)
    first = supervisor.process("leaf")["pid"]
    os.kill(first, signal.SIGSTOP)
    hung.health.silent = True
    wait_for(lambda: not psutil.pid_exists(first))
    hung.health.silent = False
    wait_for(lambda: supervisor.process("leaf")["state"] == "up")
    assert "answered no health check" in tail(Path(supervisor.process("leaf")["log"]))


class _Answers:
    """A health check that can fall silent: the kernel accepts connections for a stopped process too."""

    def __init__(self, inner: TcpHealth) -> None:
        self.inner = inner
        self.silent = False

    def why_not(self, timeout_s: float) -> str:
        return "timed out" if self.silent else self.inner.why_not(timeout_s)


def test_one_that_ends_before_it_is_healthy_is_an_error_with_its_last_words(supervisor: Supervisor) -> None:
    command = (sys.executable, "-c", "print('the bundle is missing'); raise SystemExit(3)")
    with pytest.raises(ProcessFailed, match=r"(?s)leaf ended with status 3 before.*the bundle is missing"):
        supervisor.start(ProcessSpec("leaf", command, TcpHealth("127.0.0.1", free_port())))


def test_a_program_that_does_not_exist_is_an_error(supervisor: Supervisor) -> None:
    with pytest.raises(ProcessFailed, match=r"(?s)leaf ended with status 127.*cannot be started: No such file"):
        supervisor.start(ProcessSpec("leaf", ("/nowhere/to/be/found",), TcpHealth("127.0.0.1", free_port())))


def test_one_that_never_gets_healthy_is_ended(tmp_path: Path, supervisor: Supervisor) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    spec = ProcessSpec("leaf", command, TcpHealth("127.0.0.1", free_port()), start_timeout_s=0.5)
    with pytest.raises(ProcessFailed, match=r"not healthy within 0.5 s \(127.0.0.1:\d+: Connection refused\)"):
        supervisor.start(spec)
    assert supervisor.process("leaf")["pid"] is None


def test_a_port_in_use_is_named_with_who_holds_it(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(listener(tmp_path, "first"))
    port = supervisor.process("first")["ports"][0]
    with pytest.raises(ConfigError, match=rf"port {port} for second is in use by python.* \(pid \d+\): stop what"):
        supervisor.start(listener(tmp_path, "second", port=port))
    assert supervisor.process("first")["state"] == "up"


def test_one_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path, folder: Path) -> None:
    spec = listener(tmp_path, "leaf", "stubborn")
    with Supervisor(folder) as supervisor:
        supervisor.start(ProcessSpec("leaf", spec.command, spec.health, spec.ports, grace_s=0.3))
        started = time.monotonic()
    assert 0.3 <= time.monotonic() - started < 3.0
    assert is_free(spec.ports[0])
    assert "did not stop within 0.3 s of SIGTERM: killed" in tail(folder / "leaf.log")


def test_what_a_process_started_itself_ends_with_it(tmp_path: Path, folder: Path) -> None:
    spec = listener(tmp_path, "leaf")
    wrapper = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-I', '-c', 'import time; time.sleep(99)'])\n"
        "print(p.pid, flush=True); exec(sys.argv[3])"
    )
    command = (sys.executable, "-I", "-c", wrapper, *spec.command[5:7], LISTENER)
    with Supervisor(folder) as supervisor:
        supervisor.start(ProcessSpec("leaf", command, spec.health, spec.ports))
        grandchild = int((folder / "leaf.log").read_text().split()[0])
        assert psutil.pid_exists(grandchild)
    wait_for(lambda: not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == "zombie")


def test_kill_9_of_the_supervisor_leaves_no_orphans(tmp_path: Path, folder: Path) -> None:
    specs = [listener(tmp_path, name) for name in ("first", "second")]
    owner = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from stack.health import TcpHealth
        from stack.supervised import ProcessSpec
        from stack.supervisor import Supervisor
        supervisor = Supervisor(Path(sys.argv[1]))
        for name, port in (("first", int(sys.argv[2])), ("second", int(sys.argv[3]))):
            command = (sys.executable, "-I", "-S", "-c", sys.argv[4], str(port), sys.argv[5], "stubborn")
            supervisor.start(ProcessSpec(name, command, TcpHealth("127.0.0.1", port), (port,)))
        supervisor.describe(state="up")
        time.sleep(60)
    """)
    ports = [spec.ports[0] for spec in specs]
    arguments = [str(folder), *map(str, ports), LISTENER, str(tmp_path / "lives")]
    process = subprocess.Popen([sys.executable, "-c", owner, *arguments])
    status = folder / STATUS
    wait_for(lambda: status.exists() and json.loads(status.read_text())["state"] == "up", 20.0)
    pids = [p["pid"] for p in json.loads(status.read_text())["processes"]]
    assert all(psutil.pid_exists(pid) for pid in pids)
    process.kill()
    process.wait()
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in pids), 2.0)
    assert all(is_free(port) for port in ports)


def test_a_log_beyond_its_bound_is_moved_and_the_process_goes_on_writing(tmp_path: Path, folder: Path) -> None:
    spec = listener(tmp_path, "leaf")
    with Supervisor(folder) as supervisor:
        supervisor.start(spec)
        log = folder / "leaf.log"
        with log.open("a") as file:
            file.write("x" * 2000)
        supervisor._processes[0].bound_log(limit=1000)
        assert log.stat().st_size == 0
        assert (folder / "leaf.log.1").stat().st_size > 2000
        supervisor._processes[0].note("goes on")
        assert "goes on" in log.read_text()


def test_a_stopped_supervisor_starts_nothing_and_stops_twice(tmp_path: Path, folder: Path) -> None:
    supervisor = Supervisor(folder)
    supervisor.stop()
    supervisor.stop()
    with pytest.raises(ProcessFailed, match="was stopped"):
        supervisor.start(listener(tmp_path, "leaf"))
    assert json.loads((folder / STATUS).read_text())["state"] == "stopped"
