"""Plain sequence files: `user item` a line, or `user item item ...`, both in time order."""

from pathlib import Path

import numpy as np
import polars as pl

from penchant.errors import DataError
from training.data.dataset import Dataset
from training.data.table import SECOND_US, build


def read_sequences(path: Path) -> Dataset:
    """Named as the file. Without times: a position clock, one second a step of the user's own sequence."""
    users: list[str] = []
    items: list[str] = []
    steps: list[int] = []
    count: dict[str, int] = {}
    for number, line in enumerate(_text(path).split("\n"), 1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) < 2:
            raise DataError(
                str(path), f"{line.strip()[:80]!r} holds no item: write `user item` or `user item item ...`", number
            )
        user = cells[0]
        step = count.get(user, 0)
        count[user] = step + len(cells) - 1
        for i, item in enumerate(cells[1:], step + 1):
            users.append(user)
            items.append(item)
            steps.append(i)
    if not users:
        raise DataError(str(path), "the file is empty: give `user item` or `user item item ...` lines")
    frame = pl.DataFrame(
        {
            "user": pl.Series(users, dtype=pl.String),
            "item": pl.Series(items, dtype=pl.String),
            "time": np.array(steps, np.int64) * SECOND_US,
            "type": pl.Series(["click"]).new_from_index(0, len(users)),
            "value": np.full(len(users), np.nan),
        }
    )
    return build(name=path.stem, folder=path.parent, frame=frame, has_times=False, tasks={}, counts={})


def _text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(str(path), "is no UTF-8 text: a sequence file holds ids and spaces alone", line) from None
