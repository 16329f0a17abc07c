"""Messages built field by field, so that what protobuf would refuse, or take for something else, is said by name."""

import reprlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from penchant.errors import InvalidArgument

_M = TypeVar("_M", bound=Message)
_REFUSED = (ValueError, TypeError, OverflowError)
_COUNT = "it must be a whole number from 1 to 1000"
_OWN_BOUNDS = {"max_items": _COUNT, "max_users": _COUNT}
_BOUNDS = {
    FieldDescriptor.TYPE_STRING: "it must be text that UTF-8 can write",
    FieldDescriptor.TYPE_BOOL: "it must be True or False",
    FieldDescriptor.TYPE_DOUBLE: "it must be a number",
    FieldDescriptor.TYPE_UINT32: f"it must be a whole number from 0 to {2**32 - 1}",
    FieldDescriptor.TYPE_INT64: f"it must be a whole number from {-(2**63)} to {2**63 - 1}",
}


def build(kind: type[_M], path: str, values: Mapping[str, Any]) -> _M:
    """A message of these fields; None is an absent one.

    Raises InvalidArgument naming the first field that does not fit, below `path`, with its value and bound.
    """
    known: Mapping[str, Any] = kind.DESCRIPTOR.fields_by_name
    for name in values:
        if name not in known:
            raise InvalidArgument(path + name, f"is unknown; known are: {', '.join(known)}")
    whole = {name: _whole(path + name, known[name], value) for name, value in values.items()}
    try:
        return kind(**whole)
    except _REFUSED:
        for name, value in whole.items():
            _try(kind, path + name, known[name], name, value)
        raise


def shown(value: Any) -> str:
    """A value in an error message, shortened."""
    try:
        return reprlib.repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"


def refused(field: str, value: Any, bound: str) -> InvalidArgument:
    """The error of a value that does not fit."""
    return InvalidArgument(field, f"is {shown(value)}, {bound}")


def listed(field: str, values: Any, of: str) -> list[Any]:
    """A list, which one text, one mapping and one value are not. Raises InvalidArgument."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise refused(field, values, f"it must be a list of {of}")
    return list(values)


def _whole(field: str, known: FieldDescriptor, value: Any) -> Any:
    if value is None:
        return None
    if _is_map(known):
        if not isinstance(value, Mapping):
            raise refused(field, value, "it must map text to text")
        return dict(value)
    if known.is_repeated:
        return listed(field, value, "texts")
    if known.type == FieldDescriptor.TYPE_DOUBLE and isinstance(value, bool):
        raise refused(field, value, _BOUNDS[known.type])
    return value


def _is_map(known: FieldDescriptor) -> bool:
    return known.message_type is not None and bool(known.message_type.GetOptions().map_entry)


def _try(kind: type[Message], field: str, known: FieldDescriptor, name: str, value: Any) -> None:
    """Raises InvalidArgument if this field alone does not fit."""
    parts: list[tuple[str, Any, Any]]
    if _is_map(known) and value is not None:
        parts = [(f"{field}[{shown(key)}]", {key: entry}, entry) for key, entry in value.items()]
        bound = "key and value must be text that UTF-8 can write"
    elif known.is_repeated and value is not None:
        parts = [(f"{field}[{place}]", [entry], entry) for place, entry in enumerate(value)]
        bound = _BOUNDS.get(known.type, "it does not fit")
    else:
        parts = [(field, value, value)]
        bound = _OWN_BOUNDS.get(name) or _BOUNDS.get(known.type, "it does not fit")
    for path, part, what in parts:
        try:
            kind(**{name: part})
        except _REFUSED:
            raise refused(path, what, bound) from None
