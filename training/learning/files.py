"""What the learner keeps beside the bundles: its checkpoint, the hold of a roll-back, and who is learning.

<bundles>/learning/lock               held by the one learner of this folder
<bundles>/learning/checkpoint.json    Checkpoint
<bundles>/learning/hold.json          Hold; there from a roll-back until a bundle earns its place again
<bundles>/learning/journal-N-M/       what the learner knows of the event log up to N and the item log up to M
<bundles>/learning/VERSION.part/      a challenger before it is judged
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from penchant.errors import ConfigError

FOLDER = "learning"
_CHECKPOINT = "checkpoint.json"
_HOLD = "hold.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the learner is. Everything else follows from the log, the journal and the bundles."""

    position: int = 0
    """The journal holds the event log up to here."""
    item_position: int = 0
    """And the item log up to here."""
    exposures: Mapping[str, int] = field(default_factory=dict)
    """By the name of each exposure log, up to where it is not needed any more."""
    bundle: str = ""
    """The bundle that the last update started from."""
    seed: int = 0
    updates: int = 0
    """Updates done; the next one's seed is (seed, updates)."""
    judged_position: int = 0
    """The log position of the last update: the next one is due by what came after it."""
    judged_at_s: float = 0.0
    """Seconds since 1970 of the last update."""
    hold_at: str = ""
    """The hold that was seen last, by its time, and the log position then."""
    hold_position: int = 0
    published: tuple[str, ...] = field(default=())
    """Bundles that this learner published, oldest first."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A person went back: until a challenger is surely better on events that came after, nothing is published."""

    at: str
    """UTC, ISO 8601."""
    to: str
    rolled_back: tuple[str, ...]
    """Versions that were in force after `to`, newest first."""


def read_checkpoint(bundles: Path) -> Checkpoint | None:
    """None before the first. Raises ConfigError for one that is no checkpoint."""
    raw = _read(bundles / FOLDER / _CHECKPOINT)
    try:
        return None if raw is None else Checkpoint(**{**raw, "published": tuple(raw.get("published", ()))})
    except TypeError as error:
        raise ConfigError(
            f"{bundles / FOLDER / _CHECKPOINT} is another program's ({error}): remove the folder {bundles / FOLDER}; "
            "the learner then starts from the log"
        ) from None


def write_checkpoint(bundles: Path, checkpoint: Checkpoint) -> None:
    """Atomic and durable."""
    _write(bundles / FOLDER / _CHECKPOINT, asdict(checkpoint))


def read_hold(bundles: Path) -> Hold | None:
    """The hold in force; None if there is none."""
    path = bundles / FOLDER / _HOLD
    raw = _read(path)
    try:
        return None if raw is None else Hold(raw["at"], raw["to"], tuple(raw["rolled_back"]))
    except (KeyError, TypeError):
        raise ConfigError(f"{path} holds no hold: roll back again, or lift it with rollback --release") from None


def write_hold(bundles: Path, hold: Hold) -> None:
    """Atomic and durable."""
    _write(bundles / FOLDER / _HOLD, asdict(hold))


def release_hold(bundles: Path) -> bool:
    """Lift the hold; False if there was none."""
    path = bundles / FOLDER / _HOLD
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


@contextmanager
def only_learner(bundles: Path) -> Iterator[None]:
    """One learner a folder of bundles, for as long as the block runs. Raises ConfigError where another one is."""
    folder = bundles / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another process learns in {bundles}: stop it first, or give this one a folder of its own"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise ConfigError(f"{path} cannot be read ({error}): remove it") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} holds no object: remove it")
    return raw


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    with temporary.open("w") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
