"""Programs that run once and end: shown while they run, logged, timed, and gone with us if we go."""

import contextlib
import fcntl
import json
import os
import pty
import resource
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from penchant.errors import ProcessFailed
from stack.layout import ROOT
from stack.supervised import exit_said, tail

_CHILD = str(Path(__file__).with_name("child.py"))
_LINE_BYTES = 1 << 20
_GRACE_S = 5.0


class Steps:
    """Runs one program after the other; what each took is in seconds_of."""

    def __init__(self, folder: Path) -> None:
        """folder takes a log a step."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self.seconds_of: dict[str, float] = {}
        self.cpu_seconds_of: dict[str, float] = {}
        """Of the programs alone: on a busy machine they say what a step costs."""

    def run(self, name: str, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Run `python ARGUMENTS`: its stderr goes to ours and to NAME.log; the JSON object that ends its stdout.

        {} if the last line is none. Raises ProcessFailed with the end of the log if its exit status is not 0.
        """
        log = self.folder / f"{name}.log"
        before = _cpu_of_children()
        with self.timed(name), log.open("wb") as file:
            status, said = self._run([sys.executable, *map(str, arguments)], file, environment or {})
        self.cpu_seconds_of[name] = round(_cpu_of_children() - before, 2)
        if status != 0:
            raise ProcessFailed(f"step {name} {exit_said(status)}. The end of {log}:\n{tail(log, 30)}")
        lines = said.decode(errors="replace").splitlines()
        try:
            found = json.loads(lines[-1]) if lines else {}
        except json.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note how long the block takes."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds_of[name] = round(time.monotonic() - started, 2)

    @staticmethod
    def _run(command: list[str], log: IO[bytes], environment: Mapping[str, str]) -> tuple[int, bytes]:
        """Exit status, and the end of its stdout."""
        shown, its_stderr = _terminal() if sys.stderr.isatty() else os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", _CHILD, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=its_stderr,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "no_grpc_proxy": "localhost,127.0.0.1", **environment},
            cwd=ROOT,
            start_new_session=True,
        )
        os.close(its_stderr)
        assert process.stdout is not None
        try:
            said = _copy(process.stdout.fileno(), shown, log)
            return process.wait(), said
        finally:
            _end(process)
            process.stdout.close()
            os.close(shown)


def _cpu_of_children() -> float:
    """Seconds used by children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _terminal() -> tuple[int, int]:
    """A pseudo-terminal as wide as ours, so that a step's progress bars are drawn: (our end, the step's end)."""
    ours, its = pty.openpty()
    columns, rows = shutil.get_terminal_size()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return ours, its


def _copy(stdout: int, stderr: int, log: IO[bytes]) -> bytes:
    """Until both ends close: all into the log, stderr to ours as well; the end of stdout."""
    said = b""
    with selectors.DefaultSelector() as ready:
        ready.register(stdout, selectors.EVENT_READ)
        ready.register(stderr, selectors.EVENT_READ)
        while ready.get_map():
            for key, _ in ready.select():
                try:
                    block = os.read(key.fd, 1 << 16)
                except OSError:  # a pseudo-terminal whose other end is closed
                    block = b""
                if not block:
                    ready.unregister(key.fd)
                    continue
                log.write(block)
                log.flush()
                if key.fd == stderr:
                    sys.stderr.buffer.write(block)
                    sys.stderr.buffer.flush()
                else:
                    said = (said + block)[-_LINE_BYTES:]
    return said


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the step's group is left: asked first, then killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
