"""Columns that grow at their end, in amortised constant time."""

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

    def append(self, value: Any) -> None:
        """One row more."""
        if self._length == len(self._array):
            grown = np.empty(max(1024, 2 * self._length), self._array.dtype)
            grown[: self._length] = self._array[: self._length]
            self._array = grown
        self._array[self._length] = value
        self._length += 1

    @property
    def values(self) -> NDArray[_T]:
        """The rows so far; a view."""
        return self._array[: self._length]

    def keep(self, index: NDArray[Any]) -> None:
        """These rows alone, in this order."""
        self._array = self._array[: self._length][index].copy()
        self._length = len(self._array)
