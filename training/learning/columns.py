"""Columns that grow at their end, in amortised constant time."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

_T = TypeVar("_T", bound=np.generic)


class Growing(Generic[_T]):
    """A numpy array that rows are appended to."""

    def __init__(self, dtype: DTypeLike, start: NDArray[Any] | None = None) -> None:
        self._array: NDArray[Any] = np.empty(0, dtype) if start is None else np.array(start, dtype)
        self._length = len(self._array)

    def __len__(self) -> int:
        return self._length

    def extend(self, values: Sequence[Any]) -> None:
        """Some rows more."""
        length = self._length + len(values)
        if length > len(self._array):
            grown = np.empty(max(1024, 2 * self._length, length), self._array.dtype)
            grown[: self._length] = self._array[: self._length]
            self._array = grown
        self._array[self._length : length] = values
        self._length = length

    @property
    def values(self) -> NDArray[_T]:
        """The rows so far; a view."""
        return self._array[: self._length]

    def keep(self, index: NDArray[Any]) -> None:
        """These rows alone, in this order."""
        self._array = self._array[: self._length][index].copy()
        self._length = len(self._array)
