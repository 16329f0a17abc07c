"""What was computed of a history, kept while there is room: it is the same until the history changes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

T = TypeVar("T", bound=NDArray[Any] | tuple[NDArray[Any], ...])

_OVERHEAD = 400
"""Bytes of an entry beside its arrays."""


class Remembered(Generic[T]):
    """A bounded memory of a pure function, the longest unused forgotten first.

    Keys are the whole of what the function reads, so nothing in here is ever out of date.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._found: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._found)

    def of(self, key: Hashable, key_bytes: int, compute: Callable[[], T]) -> T:
        """What compute() gives, or gave for this key; whatever it raises is not remembered."""
        held = self._found.pop(key, None)
        if held is not None:
            self.hits += 1
            self._found[key] = held
            return held[0]
        self.misses += 1
        value = compute()
        arrays = value if isinstance(value, tuple) else (value,)
        size = sum(array.nbytes for array in arrays) + key_bytes + _OVERHEAD
        self._found[key] = (value, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._bytes -= self._found.popitem(last=False)[1][1]
        return value
