"""What is popular right now: counts of a sliding window of events, kept as the replay goes on."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import LIST_LENGTH


class WindowedPopularity:
    """Item rows by their history events in the newest `window_us`; needs events in time order."""

    def __init__(self, rows: int, window_us: int) -> None:
        self._counts = np.zeros(rows, np.int64)
        self._events: deque[tuple[int, int]] = deque()
        self._window_us = window_us

    def add(self, time_us: int, row: int) -> None:
        """Count one event; what has left the window is taken off."""
        self._counts[row] += 1
        self._events.append((time_us, row))
        while self._events[0][0] <= time_us - self._window_us:
            _, old = self._events.popleft()
            self._counts[old] -= 1

    def top(self, forbidden: NDArray[np.int64]) -> NDArray[np.int64]:
        """The LIST_LENGTH most frequent rows, ties to the lower row; row 0, uncounted and forbidden rows never."""
        counts = self._counts.copy()
        counts[0] = 0
        counts[forbidden] = 0
        width = min(LIST_LENGTH, len(counts))
        best = np.sort(np.argpartition(-counts, width - 1)[:width])
        best = best[np.argsort(-counts[best], kind="stable")]
        return np.asarray(best[counts[best] > 0], np.int64)
