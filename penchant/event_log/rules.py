"""What every log refuses in the same words."""

import re
from collections.abc import Sequence

from penchant.errors import LogError
from penchant.event_log.protocol import LogReader
from penchant.segments import MAX_RECORD_BYTES


def checked_name(name: str) -> str:
    """The name of a holder. Raises LogError for one that could not be a file's."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        raise LogError(f"{name!r} cannot hold a log: write up to 64 of a-z, 0-9, _ and -")
    return name


def refuse_trimmed(log: LogReader, from_position: int) -> None:
    """Raise LogError where what is asked for is not there any more."""
    oldest = log.oldest()
    if max(from_position, 1) < oldest:
        raise LogError(
            f"{log} begins at position {oldest}: what was before is not kept any more, and {from_position} was asked "
            f"for; begin at {oldest}, knowing that the rest is missing"
        )


def refuse_beyond(log: LogReader, from_position: int) -> None:
    """Raise LogError where whoever asks knows of records that the log does not have."""
    newest = log.newest()
    if from_position > newest + 1:
        raise LogError(
            f"{log} ends at position {newest}, and {from_position} was asked for: it is another log, or lost records; "
            "restore the right one, or begin anew"
        )


def refuse_needed(log: LogReader, position: int, holders: Sequence[str]) -> None:
    """Raise LogError where a holder is not done with everything before a position."""
    for name in holders:
        held = log.held(name)
        if position - 1 > held:
            raise LogError(f"{log} cannot be trimmed before {position}: {name!r} is done up to position {held} alone")


def refuse_oversize(payloads: Sequence[bytes], limit: int = MAX_RECORD_BYTES) -> None:
    """Raise LogError for a record that is too long."""
    for payload in payloads:
        if len(payload) > limit:
            raise LogError(f"a record of {len(payload)} bytes is above {limit}: split it")
