"""One supervised process: how it is started and asked, its log with a bound, its end without leftovers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack.health import Health

LOG_BYTES = 16 << 20
"""A log is moved to NAME.log.1 beyond this: two files bound what a process may write."""
_CHILD = str(Path(__file__).with_name("child.py"))

WAITING, STARTING, UP, STOPPED, GAVE_UP = "waiting", "starting", "up", "stopped", "gave up"


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to run and how to know that it is ready."""

    name: str
    command: tuple[str, ...]
    health: Health
    ports: tuple[int, ...] = ()
    """Must be free before the first start."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the supervisor's own."""
    folder: Path | None = None
    start_timeout_s: float = 60.0
    grace_s: float = 15.0
    """From SIGTERM to SIGKILL: more than the process itself takes to drain."""


class Supervised:
    """A process and its past. Used by the supervisor's thread alone, but for the plain attributes."""

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self.state = WAITING
        self.since = time.time()
        self.restarts = 0
        self.last_exit: int | None = None
        self.why_not = ""
        self.failures = 0
        """In a row, without having been up for long in between."""
        self.start_at = 0.0
        """Monotonic time of the next start while waiting."""
        self.started_at = 0.0
        self.silent_since = 0.0
        """Monotonic time of the first of the health checks in a row without an answer; 0: it answers."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._process.pid if self._process is not None else None

    def enter(self, state: str) -> None:
        """Change state."""
        self.state = state
        self.since = time.time()

    def spawn(self) -> None:
        """Start the command, in a session of its own, bound to this process's life."""
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "no_grpc_proxy": "localhost,127.0.0.1"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", _CHILD, str(os.getpid()), *self.spec.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment, **self.spec.environment},
                cwd=self.spec.folder,
                start_new_session=True,
            )
        self.started_at = time.monotonic()
        self.silent_since = 0.0
        self.enter(STARTING)

    def exited(self) -> int | None:
        """Its exit status if it ended by itself, with whatever it left behind in its group killed; else None."""
        if self._process is None or (status := self._process.poll()) is None:
            return None
        self._kill_group(self._process.pid)
        self._process = None
        self.last_exit = status
        return status

    def ask(self, timeout_s: float = 1.0) -> str:
        """ "" if it is ready, else why not."""
        self.why_not = self.spec.health.why_not(timeout_s)
        return self.why_not

    def end(self, grace_s: float) -> None:
        """SIGTERM, up to grace_s of time, then SIGKILL; nothing of its group is left afterwards."""
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.note(f"did not stop within {grace_s:g} s of SIGTERM: killed")
            process.kill()
            process.wait()
        self._kill_group(process.pid)
        self.last_exit = process.returncode
        self._process = None

    def note(self, text: str) -> None:
        """A line of the supervisor's in the process's own log."""
        with self.log.open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} [supervisor] {self.spec.name}: {text}\n")

    def bound_log(self, limit: int = LOG_BYTES) -> None:
        """Copy a log beyond its bound to NAME.log.1 and empty it: the process goes on appending to the same file."""
        try:
            if self.log.stat().st_size > limit:
                shutil.copyfile(self.log, self.log.with_name(self.log.name + ".1"))
                os.truncate(self.log, 0)
        except FileNotFoundError:
            return

    def tail(self, lines: int = 20) -> str:
        """The end of its log."""
        return tail(self.log, lines)

    def snapshot(self) -> dict[str, Any]:
        """For the status file."""
        return {
            "name": self.spec.name,
            "state": self.state,
            "pid": self.pid,
            "ports": list(self.spec.ports),
            "since": self.since,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
            "why_not": self.why_not,
            "log": str(self.log),
        }

    @staticmethod
    def _kill_group(group: int) -> None:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a file, of its last 64 KiB at most; "" if there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - (64 << 10)))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def exit_said(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "did not end"
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
