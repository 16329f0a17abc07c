"""Plain sequence files: `user item` a line, or `user item item ...`, both in time order."""

from pathlib import Path

import numpy as np
import polars as pl

from penchant.errors import DataError
from training.data.dataset import Dataset
from training.data.table import SECOND_US, build


def read_sequences(path: Path) -> Dataset:
    """Without times: a position clock, one second a step of the user's own sequence."""
    users: list[str] = []
    items: list[str] = []
    steps: list[int] = []
    count: dict[str, int] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) < 2:
            raise DataError(str(path), f"{line!r} holds no item: expected `user item` or `user item item ...`", number)
        user = cells[0]
        step = count.get(user, 0)
        count[user] = step + len(cells) - 1
        for i, item in enumerate(cells[1:]):
            users.append(user)
            items.append(item)
            steps.append(step + i + 1)
    frame = pl.DataFrame(
        {
            "user": users,
            "item": items,
            "time": np.array(steps, np.int64) * SECOND_US,
            "type": ["click"] * len(users),
            "value": np.full(len(users), np.nan),
        }
    )
    return build(
        name=path.stem, folder=path.parent, frame=frame, has_times=False, item_frame=None, item_kinds={},
        user_frame=None, user_kinds={}, separators={}, tasks={}, counts={},
    )  # fmt: skip
