"""What a fit that was killed goes on from: the state of each of its parts, in files that are whole or not there."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from penchant.errors import ConfigError

State = dict[str, Any]
"""Tensors, numbers, strings, and dicts and lists of them: reading one back runs no code."""
EVERY_S = 60.0


class Checkpoint:
    """The state of one part; without a path nothing is kept."""

    def __init__(
        self, path: Path | None = None, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._every_s, self._clock = path, every_s, clock
        self._saved_at = clock()

    def load(self) -> State | None:
        """What was saved last; None if nothing was. Raises ConfigError for a damaged file."""
        if self._path is None or not self._path.exists():
            return None
        try:
            state: State = torch.load(self._path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ConfigError(
                f"{self._path} cannot be read ({type(error).__name__}): start anew with --fresh"
            ) from error
        return state

    def due(self) -> bool:
        """Whether the last save is long enough ago."""
        return self._path is not None and self._clock() - self._saved_at >= self._every_s

    def save(self, state: State) -> None:
        """Replace what was saved; a reader, or a kill, finds the old state or the new one."""
        if self._path is None:
            return
        beside = self._path.with_suffix(".part")
        with beside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        self._saved_at = self._clock()


class Checkpoints:
    """Those of one fit, below its folder; without a folder nothing is kept."""

    def __init__(self, folder: Path | None = None, every_s: float = EVERY_S) -> None:
        self._folder, self._every_s = folder, every_s

    @property
    def found(self) -> tuple[str, ...]:
        """Names of the parts that something is kept of, the newest first."""
        paths = [] if self._folder is None else list(self._folder.glob("*.pt"))
        return tuple(path.stem for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True))

    def part(self, name: str) -> Checkpoint:
        """That of a part; equal names, the same one."""
        return Checkpoint(None if self._folder is None else self._folder / f"{name}.pt", self._every_s)

    def room(self, otherwise: Path) -> Path:
        """Where a folder can be made that nobody misses after a kill; `otherwise` where nothing is kept."""
        if self._folder is None:
            return otherwise
        room = self._folder / "room"
        shutil.rmtree(room, ignore_errors=True)
        return room


@contextmanager
def checkpoints(
    bundles: Path, fingerprint: str, every_s: float = EVERY_S, fresh: bool = False
) -> Iterator[Checkpoints]:
    """Those of the fit with that fingerprint, in a hidden folder below `bundles` that goes when the block succeeds.

    fresh: without what an earlier process left. Raises ConfigError while another process is at the same fit.
    """
    folder = bundles / f".fit-{fingerprint}"
    was_there = bundles.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"another process is at this very fit ({folder.name}): let it finish, or end it"
            ) from None
        if fresh:
            _forget(folder)
        try:
            yield Checkpoints(folder, every_s)
        except BaseException:
            if not list(folder.glob("*.pt")):
                shutil.rmtree(folder)
                if not was_there and not any(bundles.iterdir()):
                    bundles.rmdir()
            raise
        shutil.rmtree(folder)


def _forget(folder: Path) -> None:
    for pattern in ("*.pt", "*.part"):
        for path in folder.glob(pattern):
            path.unlink()
