"""Keeps processes running: started in order by health, restarted with back-off, stopped in reverse, none left behind.

    with Supervisor(folder) as supervisor:
        supervisor.start(redis)
        supervisor.start(feature_store)      # returns once it is healthy, raises ProcessFailed with its log's end
        ...

One thread starts and watches every process and outlives them all: the kernel ties a child's life to the thread that
started it (PR_SET_PDEATHSIG), so a supervisor that is killed takes its processes with it.
"""

import contextlib
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from penchant.errors import ProcessFailed
from stack.health import NOT_SERVING
from stack.ports import require_free
from stack.supervised import GAVE_UP, STARTING, STOPPED, UP, WAITING, ProcessSpec, Supervised, exit_said

STATUS = "status.json"
_TICK_S = 0.1
_log = logging.getLogger("stack.supervisor")


@dataclass(frozen=True, slots=True)
class BackOff:
    """When a process that ended is started again, and when no more."""

    first_s: float = 0.5
    factor: float = 2.0
    longest_s: float = 30.0
    failures: int = 8
    """In a row; then it is given up."""
    settled_s: float = 30.0
    """Up for this long, its past failures are forgotten."""
    silent_s: float = 30.0
    """A process that answers no health check for this long is hung: killed, and started again."""

    def wait_s(self, failures: int) -> float:
        """Before the next start, after so many failures in a row (from 1)."""
        return min(self.longest_s, self.first_s * self.factor ** (failures - 1))


class Supervisor:
    """Processes in the order they were started. Safe to use from any thread; stop() may be called twice."""

    def __init__(self, folder: Path, back_off: BackOff | None = None, check_every_s: float = 2.0) -> None:
        """folder takes a log a process and status.json; it is made, readable by this user alone."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._back_off = back_off or BackOff()
        self._check_every_s = check_every_s
        self._processes: list[Supervised] = []
        self._about: dict[str, Any] = {"state": "starting"}
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = queue.SimpleQueue()
        self._ended = False
        self._next_check = 0.0
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, spec: ProcessSpec) -> None:
        """Start a process and wait until it is healthy; from then on it is kept running.

        Raises ConfigError if one of its ports is in use, ProcessFailed with the end of its log if it ends or is not
        healthy in time: then it does not run any more, the others do.
        """
        for port in spec.ports:
            require_free(port, spec.name)
        process = Supervised(spec, self.folder / f"{spec.name}.log")
        self._ask(process.spawn).result()
        self._processes.append(process)
        self._write_status()
        try:
            self._wait_until_healthy(process)
        except BaseException:
            self._ask(lambda: process.end(spec.grace_s)).result()
            process.enter(STOPPED)
            self._write_status()
            raise
        process.enter(UP)
        self._write_status()

    def stop(self) -> None:
        """End every process, the last started first, each with its grace; returns when none is left."""
        if self._ended:
            return
        self.describe(state="stopping")
        done = self._ask(self._end_all)
        while not done.done():
            with contextlib.suppress(KeyboardInterrupt):  # a second ctrl-C must not leave processes behind
                done.result()
        self._thread.join()
        self.describe(state="stopped")

    def describe(self, **about: Any) -> None:
        """Write more into status.json, such as state="up"."""
        self._about.update(about)
        self._write_status()

    def status(self) -> dict[str, Any]:
        """What status.json says."""
        return {**self._about, "pid": os.getpid(), "processes": [p.snapshot() for p in self._processes]}

    def process(self, name: str) -> dict[str, Any]:
        """One process's part of the status. Raises KeyError if none has that name."""
        for process in self._processes:
            if process.spec.name == name:
                return process.snapshot()
        raise KeyError(name)

    def require_up(self) -> None:
        """Raises ProcessFailed if a process was given up."""
        for process in self._processes:
            if process.state == GAVE_UP:
                raise ProcessFailed(_given_up(process))

    def _wait_until_healthy(self, process: Supervised) -> None:
        """By asking, more and more seldom: a Python service takes a second or two."""
        spec, pause_s = process.spec, 0.02
        deadline = time.monotonic() + spec.start_timeout_s
        while process.ask():
            if (status := process.exited()) is not None:
                raise ProcessFailed(f"{spec.name} {exit_said(status)} before it was healthy. {_last_words(process)}")
            if time.monotonic() > deadline:
                raise ProcessFailed(
                    f"{spec.name} was not healthy within {spec.start_timeout_s:g} s ({process.why_not}). "
                    f"{_last_words(process)}"
                )
            time.sleep(pause_s)
            pause_s = min(0.25, pause_s * 1.3)

    def _ask(self, job: Callable[[], None]) -> Future[None]:
        """Have it run in the supervisor's thread."""
        if self._ended:
            raise ProcessFailed("this supervisor was stopped: make another")
        done: Future[None] = Future()
        self._jobs.put((job, done))
        return done

    def _run(self) -> None:
        while not self._ended:
            try:
                job, done = self._jobs.get(timeout=_TICK_S)
            except queue.Empty:
                self._look()
                continue
            try:
                job()
                done.set_result(None)
            except BaseException as error:
                done.set_exception(error)

    def _look(self) -> None:
        """At every process once. Whatever goes wrong here, the thread lives on: its end would be theirs."""
        try:
            now = time.monotonic()
            checking = now >= self._next_check
            if checking:
                self._next_check = now + self._check_every_s
            before = [(p.state, p.pid) for p in self._processes]
            for process in list(self._processes):
                self._look_after(process, checking)
            if checking or before != [(p.state, p.pid) for p in self._processes]:
                self._write_status()
        except Exception:
            _log.exception("the supervisor failed to look after its processes and goes on")

    def _look_after(self, process: Supervised, checking: bool) -> None:
        """Restart what ended, see whether what was restarted is ready, and notice what hangs."""
        now = time.monotonic()
        if process.state == WAITING:
            if now >= process.start_at:
                process.restarts += 1
                process.spawn()
        elif process.state == UP or (process.state == STARTING and process.restarts):
            if (status := process.exited()) is not None:
                self._failed(process, exit_said(status))
            elif process.state == STARTING:
                if not process.ask():
                    process.note("is healthy again")
                    process.enter(UP)
                elif now - process.started_at > process.spec.start_timeout_s:
                    process.end(0.0)
                    self._failed(process, f"was not healthy within {process.spec.start_timeout_s:g} s")
            elif checking:
                self._check(process, now)
        if checking:
            process.bound_log()

    def _check(self, process: Supervised, now: float) -> None:
        if process.ask() in ("", NOT_SERVING):
            process.silent_since = 0.0
            if now - process.started_at > self._back_off.settled_s:
                process.failures = 0
        elif not process.silent_since:
            process.silent_since = now
        elif now - process.silent_since > self._back_off.silent_s:
            process.end(0.0)
            self._failed(process, f"answered no health check for {self._back_off.silent_s:g} s ({process.why_not})")

    def _failed(self, process: Supervised, why: str) -> None:
        process.failures += 1
        if process.failures >= self._back_off.failures:
            process.why_not = why
            process.note(f"{why}; given up after {process.failures} failures in a row")
            _log.error(_given_up(process))
            process.enter(GAVE_UP)
            return
        wait_s = self._back_off.wait_s(process.failures)
        process.start_at = time.monotonic() + wait_s
        process.enter(WAITING)
        process.note(f"{why}; started again in {wait_s:g} s (failure {process.failures} in a row)")
        _log.warning("%s %s: started again in %g s", process.spec.name, why, wait_s)

    def _end_all(self) -> None:
        for process in reversed(self._processes):
            process.end(process.spec.grace_s)
            process.enter(STOPPED)
            self._write_status()
        self._ended = True

    def _write_status(self) -> None:
        """Whole or not at all."""
        temporary = self.folder / f".{STATUS}.{os.getpid()}.{threading.get_ident()}"
        temporary.write_text(json.dumps(self.status(), indent=1))
        temporary.replace(self.folder / STATUS)


def _last_words(process: Supervised) -> str:
    said = process.tail()
    return f"The end of {process.log}:\n{said}" if said else f"{process.log} is empty."


def _given_up(process: Supervised) -> str:
    return f"{process.spec.name} failed {process.failures} times in a row and is given up. {_last_words(process)}"
