"""Pictures and sounds of a data set's items, from its files. What cannot be read is said, and the item goes without."""

import logging
from collections.abc import Sequence
from pathlib import Path

from penchant.item_media import SHAPES
from penchant.media import Bytes, MediaError, is_packed, picture, sound, unpacked

MEDIUM = {"image": "picture", "audio": "sound"}
"""By the kind of an attribute."""
_log = logging.getLogger("penchant.media")
_READ = {"picture": picture, "sound": sound}
_NAMED = 10
"""Files that are named; of more there is one line for all."""


def read_file(medium: str, value: str) -> Bytes:
    """Raw input of a path, or of what was written to the running service. Raises MediaError."""
    if is_packed(value):
        raw = unpacked(value, SHAPES[medium])
        if raw is None:
            raise MediaError(f"was written as another medium than a {medium}")
        return raw
    try:
        data = Path(value).read_bytes()
    except OSError as error:
        raise MediaError(f"cannot be read ({error.strerror or error})") from None
    return _READ[medium](data)


def read_files(medium: str, values: Sequence[str], ids: Sequence[str]) -> list[Bytes | None]:
    """Raw inputs; None for what cannot be read, of which a warning names the id: the item is known by the rest."""
    found: list[Bytes | None] = []
    faults = []
    for value, id_ in zip(values, ids, strict=True):
        try:
            found.append(read_file(medium, value))
        except MediaError as error:
            found.append(None)
            faults.append(f"{id_}: {'what was written' if is_packed(value) else value} {error}")
    warn(faults, medium)
    return found


def warn(faults: Sequence[str], medium: str) -> None:
    """Say what could not be read, a line each for the first ones."""
    for fault in faults[:_NAMED]:
        _log.warning("%s; it goes without this %s", fault, medium)
    if len(faults) > _NAMED:
        _log.warning("%d more go without their %s", len(faults) - _NAMED, medium)
