"""Sessions of a dataset: its own where it has them, else a pause of half an hour starts a new one."""

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset

GAP_US = 30 * 60 * 1_000_000


def session_starts(dataset: Dataset, events: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each of one user's events [E] (indices, in time order) is the first of a session."""
    starts = np.ones(len(events), np.bool_)
    if len(events) < 2:
        return starts
    own = dataset.events.sessions
    if own is not None and (own[events] >= 0).all():
        starts[1:] = np.diff(own[events]) != 0
    elif dataset.has_times:
        starts[1:] = np.diff(dataset.events.times[events]) > GAP_US
    else:
        starts[1:] = False
    return starts
