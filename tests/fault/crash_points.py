"""A service that dies at a named point when told to: python -m fault.crash_points services.feature_store

The storm arms a point by writing "point<TAB>hit" into the file that STORM_TRAP names; the process that reaches the
point for the hit-th time renames the file to NAME.sprung and kills itself, as kill -9 would at exactly that place.

Most points are the feature store's own (services/feature_store/crash_points.py); those inside one write to a file or to
the online store are put there from here.
"""

import os
import random
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

from services.feature_store.crash_points import CRASH_POINTS

TRAP = "STORM_TRAP"
STORE_POINT = "during_store_write"
"""Some of a batch's users and items are in the store."""
FILE_POINTS = ("half_an_append", "unsynced_bytes_lost", "power_cut")
"""Part of a batch is in the file; any part of a batch that was not synced is lost; before a batch, all that was not
synced is lost: what was acknowledged must have been synced before."""
ITEM_FILE_POINTS = ("items:before_append", "items:half_an_append", "items:after_append", "items:power_cut")
POINTS = (*CRASH_POINTS, STORE_POINT)
"""With every kind of log."""

_reached: dict[str, int] = {}


def springs(point: str) -> bool:
    """Whether the trap is set for this passage of the point; counts it."""
    try:
        armed, hit = Path(os.environ[TRAP]).read_text().split("\t")
    except FileNotFoundError:
        _reached.clear()
        return False
    if armed != point:
        return False
    _reached[point] = _reached.get(point, 0) + 1
    return _reached[point] >= int(hit)


def die() -> None:
    """Does not return."""
    path = Path(os.environ[TRAP])
    path.rename(path.with_name(path.name + ".sprung"))
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def reached(point: str) -> None:
    """The process is here."""
    if springs(point):
        die()


def install() -> None:
    """Before the service is imported."""
    from penchant.segments import SegmentWriter
    from services.feature_store import open as opening
    from services.feature_store.redis_store import RedisOnlineStore

    opening.crash_points = lambda: reached  # type: ignore[assignment]
    write, sync, write_store = SegmentWriter._write, SegmentWriter._sync, RedisOnlineStore.write
    durable: dict[str, int] = {}
    """Bytes of a segment that were synced."""

    def segment(writer: SegmentWriter) -> str:
        return f"{writer.folder}/{writer._first}"

    def written(writer: SegmentWriter, block: bytes) -> None:
        name = "items:" if writer.folder.name == "items" else ""
        if name:
            reached("items:before_append")
        size = os.fstat(writer._file).st_size
        if springs(f"{name}power_cut"):
            os.ftruncate(writer._file, durable.get(segment(writer), 0))
            die()
        if springs(f"{name}half_an_append"):
            os.write(writer._file, block[: random.randrange(1, len(block))])
            die()
        write(writer, block)
        if springs(f"{name}unsynced_bytes_lost"):
            os.ftruncate(writer._file, random.randrange(size, size + len(block)))
            die()
        if name:
            reached("items:after_append")

    def synced(writer: SegmentWriter, position: int) -> None:
        size = os.fstat(writer._file).st_size
        sync(writer, position)
        durable[segment(writer)] = size

    async def stored(*arguments: Any, **named: Any) -> Any:
        reached(STORE_POINT)
        return await write_store(*arguments, **named)

    SegmentWriter._write = written  # type: ignore[method-assign]
    SegmentWriter._sync = synced  # type: ignore[method-assign]
    RedisOnlineStore.write = stored  # type: ignore[method-assign]


if __name__ == "__main__":
    module = sys.argv.pop(1)
    # Under its own name, not as __main__, which is about to be the service.
    from fault import crash_points

    if module.rsplit(".", 1)[-1] in ("feature_store", "standalone"):
        crash_points.install()
    runpy.run_module(module, run_name="__main__", alter_sys=True)
