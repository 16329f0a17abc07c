"""A data set written out event by event, for tests that count by hand."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.data.dataset import Attributes, Dataset, EventTable

HOUR, DAY = 3600.0, 86_400.0


def dataset_of(rows: Sequence[tuple], has_times: bool = True, slates: bool = True) -> Dataset:
    """rows: (user, item or "", type, time in seconds[, slate, position[, value]])."""
    full = [(*row, *(-1, -1, np.nan)[len(row) - 4 :]) for row in sorted(rows, key=lambda row: row[3])]
    users, items, types = (sorted({row[i] for row in full} - {""}) for i in range(3))
    shown = np.array([row[2] in ("impression", "view") and row[5] >= 0 for row in full], np.bool_)
    events = EventTable(
        np.array([users.index(row[0]) for row in full], np.int32),
        np.array([items.index(row[1]) if row[1] else -1 for row in full], np.int32),
        np.array([int(row[3] * 1e6) for row in full]),
        np.array([types.index(row[2]) for row in full], np.int8),
        np.array([row[6] for row in full], np.float32),
        np.arange(len(full)),
        impressions=shown,
        slate_positions=np.array([row[5] for row in full], np.int16),
        slates=np.array([row[4] for row in full]) if slates else None,
    )
    return Dataset(
        "small", users, items, types, events, Attributes(), Attributes(), has_times, {}, {}, Path()
    )  # fmt: skip


def without_slates(dataset: Dataset) -> Dataset:
    """The same, but no event says which slate it is of."""
    return replace(dataset, events=replace(dataset.events, slates=None))
