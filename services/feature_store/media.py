"""Files among what is written of an item: read on arrival into the small text that is kept and that encoders take."""

from collections.abc import Sequence
from dataclasses import replace

from penchant.errors import InvalidArgument
from penchant.media import MediaError, canonical
from services.feature_store.writes import ItemWrite

MAX_FILE_BYTES = 1 << 20


def has_files(items: Sequence[ItemWrite]) -> bool:
    """Whether any item holds one."""
    return any(isinstance(value, bytes) for item in items for value in item.attributes.values())


def with_read_files(item: ItemWrite) -> ItemWrite:
    """The item with each file as text. Raises InvalidArgument for one that is too large or cannot be read."""
    read = {name: _text(name, value) for name, value in item.attributes.items() if isinstance(value, bytes)}
    return replace(item, attributes={**item.attributes, **read}) if read else item


def _text(name: str, data: bytes) -> str:
    field = f"attributes[{name[:64]!r}]"
    if len(data) > MAX_FILE_BYTES:
        raise InvalidArgument(field, f"is a file of {len(data)} bytes, at most {MAX_FILE_BYTES}: make it smaller")
    try:
        return canonical(data)
    except MediaError as error:
        raise InvalidArgument(field, str(error)) from None
