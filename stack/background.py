"""A stack left running: one supervisor a run folder, found again by its lock, told to stop by its process id."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from penchant.errors import ProcessFailed
from stack.layout import ROOT
from stack.supervised import tail
from stack.supervisor import STATUS

_LOCK = "supervisor.lock"
_STARTING = "starting.lock"
"""Held by `up` from its first step, which may be a training, until the supervisor is up."""
LOG = "supervisor.log"
_STOP_S = 120.0
_HOLD_S = 1.0
"""Somebody who asks for the status holds the lock for a moment."""


class Background:
    """The supervisor of one run folder, seen from other processes."""

    def __init__(self, run: Path) -> None:
        self.run = run

    def hold(self) -> int:
        """Become the supervisor of the folder: returns the open lock. Raises ProcessFailed if there is one already.

        The kernel frees the lock with the process, so a stale one cannot be.
        """
        lock = self._hold(_LOCK)
        if lock is None:
            raise ProcessFailed(f"{self.run} has a supervisor already (pid {self.pid()})")
        return lock

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """While this process prepares and starts a supervisor. Raises ProcessFailed if another one does so."""
        lock = self._hold(_STARTING)
        if lock is None:
            state = self.status().get("state", "starting")
            raise ProcessFailed(f"already {state} (pid {self.starter()}): wait for it, or stop it with `make down`")
        try:
            yield
        finally:
            if self.pid() is None:
                (self.run / STATUS).unlink(missing_ok=True)
            os.close(lock)

    def describe(self, state: str, message: str, said: Mapping[str, str]) -> None:
        """Write the status file before there is a supervisor that does."""
        about = {"state": state, "message": message, "pid": os.getpid(), "processes": [], **said}
        temporary = self.run / f".{STATUS}.{os.getpid()}"
        temporary.write_text(json.dumps(about))
        temporary.replace(self.run / STATUS)

    def pid(self) -> int | None:
        """Process id of the supervisor; None if none runs."""
        return self._holder(_LOCK)

    def starter(self) -> int | None:
        """Process id of the `up` that is under way; None if none is."""
        return self._holder(_STARTING)

    def _hold(self, name: str) -> int | None:
        """The open lock, with our process id in it; None if another process holds it."""
        self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.run / name, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _HOLD_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    os.close(lock)
                    return None
            time.sleep(0.02)
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        return lock

    def _holder(self, name: str) -> int | None:
        try:
            with (self.run / name).open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except OSError:
                    return int(lock.read() or 0) or None
        except FileNotFoundError:
            pass
        return None

    def status(self) -> dict[str, Any]:
        """What it last wrote of itself; {} if it never did."""
        try:
            found: dict[str, Any] = json.loads((self.run / STATUS).read_text())
        except FileNotFoundError:
            return {}
        return found

    def start(
        self, arguments: list[str], environment: Mapping[str, str], timeout_s: float, say: Callable[[str], None]
    ) -> dict[str, Any]:
        """Start `python -m stack supervise ARGUMENTS`, detached; returns its status once it is up.

        Raises ProcessFailed with the end of its log if it ends or does not come up in time.
        """
        self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.run / STATUS).unlink(missing_ok=True)
        log = self.run / LOG
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "stack", "supervise", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                cwd=ROOT,
                start_new_session=True,
            )
        deadline, said = time.monotonic() + timeout_s, ""
        try:
            while True:
                status = self.status()
                if status.get("message") and status["message"] != said:
                    say(said := status["message"])
                if status.get("state") == "up":
                    return status
                if process.poll() is not None:
                    raise ProcessFailed(f"the stack did not come up. The end of {log}:\n{tail(log, 40)}")
                if time.monotonic() > deadline:
                    raise ProcessFailed(
                        f"the stack is not up after {timeout_s:g} s. The end of {log}:\n{tail(log, 40)}"
                    )
                time.sleep(0.1)
        except BaseException:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(_STOP_S)
            raise

    def stop(self, timeout_s: float = _STOP_S) -> bool:
        """End an `up` that is under way, then the supervisor and everything; False if neither runs.

        One that does not end within timeout_s is killed, and its processes with it.
        """
        ended = [self._end(holder, timeout_s) for holder in (self.starter, self.pid)]
        return any(ended)

    @staticmethod
    def _end(holder: Callable[[], int | None], timeout_s: float) -> bool:
        pid = holder()
        if pid is None:
            return False
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            while holder() == pid:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    deadline = float("inf")
                time.sleep(0.05)
        return True
