"""The baseline that knows nothing of an item but how often it was met: cold items as popular as they were by then."""

import numpy as np
from numpy.typing import NDArray

from penchant.types import Matrix
from training.data.dataset import Dataset
from training.data.split import history_mask


class PopularByThen:
    """History events on each cold item before an event: more than any model of cold items is told, which sees none."""

    def __init__(self, dataset: Dataset, items: NDArray[np.int64]) -> None:
        events = dataset.events
        index = np.flatnonzero(history_mask(dataset))
        self._times = events.times
        self._met = [np.sort(events.times[index[events.items[index] == item]]) for item in items.tolist()]

    def scores(self, events: NDArray[np.int64]) -> Matrix:
        """[T, C] of T events of the data set."""
        at = self._times[events]
        return np.stack([np.searchsorted(met, at) for met in self._met], axis=1).astype(np.float32)
