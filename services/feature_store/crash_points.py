"""Where a test may kill the process: named points of the write path, in the order an entry passes them.

before_append            it was taken from the queue; nothing holds it
after_append             written to the log, not known to be durable
after_fsync              durable, not applied
between_store_and_offset applied to the online store, which does not know yet how far the log is applied
before_acknowledgement   applied, not answered
"""

import os
import signal
from collections.abc import Callable, Mapping

from penchant.errors import ConfigError
from services.runtime.config import CRASH_VARIABLE

CRASH_POINTS = ("before_append", "after_append", "after_fsync", "between_store_and_offset", "before_acknowledgement")


def crash_points(environment: Mapping[str, str] | None = None) -> Callable[[str], None]:
    """What is to be told each point: with PENCHANT_CRASH_POINT=<point>:<n> it kills the process the nth time there.

    Raises ConfigError for a point that does not exist.
    """
    wanted = (os.environ if environment is None else environment).get(CRASH_VARIABLE, "")
    if not wanted:
        return lambda point: None
    name, _, count = wanted.partition(":")
    if name not in CRASH_POINTS or not (count or "1").isdigit():
        raise ConfigError(f"{CRASH_VARIABLE}={wanted!r}: write <point>:<n> with a point of {', '.join(CRASH_POINTS)}")
    left = int(count or 1)

    def reached(point: str) -> None:
        nonlocal left
        if point != name:
            return
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached
