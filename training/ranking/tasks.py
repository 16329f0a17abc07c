"""What the ranker predicts: `engage`, and the data set's own tasks."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.data.tasks import is_regression, labels

ENGAGE = "engage"
"""Is the candidate what the user does next: the score that leads the slate's order."""
ATTRIBUTION_US = 30 * 60 * 1_000_000
"""An act or a value counts for an exposure or a first act of the same user and item if it follows within this."""


@dataclass(frozen=True, slots=True)
class Task:
    """One of the data set's tasks.

    kind: "value", a yes or no of the event's own value; "number", the value itself; "act", whether a candidate is
    acted on. The first two are known only of items the user gave a value to, the third of everything shown.
    """

    name: str
    kind: Literal["value", "number", "act"]
    labels: NDArray[np.float32]
    """[E] by event; NaN where the rule says nothing."""


def tasks_of(dataset: Dataset) -> list[Task]:
    """The data set's tasks in its order, without those that have no label at all."""
    found = []
    for name, rule in dataset.tasks.items():
        by_event = labels(dataset, rule)
        if np.isnan(by_event).all():
            continue
        kind: Literal["value", "number", "act"] = "act"
        if rule.strip().startswith("value"):
            kind = "number" if is_regression(rule) else "value"
        found.append(Task(name, kind, by_event))
    return found


def outcomes(
    dataset: Dataset, task: Task, moments: NDArray[np.int64], allowed: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """What came of each moment [X] (indices of events): the task's label of the same user and item, from then on.

    An act: 1 if it followed within ATTRIBUTION_US, else 0. A value: the first one given within that time, NaN if none.
    The moment's own event counts. allowed [E]: events that may be looked at; others are as if they had not happened.
    """
    events = dataset.events
    told = task.labels == 1.0 if task.kind == "act" else ~np.isnan(task.labels)
    index = np.flatnonzero(told & (events.items >= 0) & allowed)

    def frame(rows: NDArray[np.int64]) -> pl.DataFrame:
        return pl.DataFrame({"user": events.users[rows], "item": events.items[rows], "time": events.times[rows]})

    asked = frame(moments).with_row_index().sort("time")
    known = frame(index).with_columns(pl.Series("label", task.labels[index])).sort("time")
    joined = asked.join_asof(
        known, on="time", by=["user", "item"], strategy="forward", tolerance=ATTRIBUTION_US, check_sortedness=False
    )
    nothing = 0.0 if task.kind == "act" else np.nan
    return joined.sort("index")["label"].fill_null(nothing).to_numpy().astype(np.float32)
