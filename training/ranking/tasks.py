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
"""An act counts for an exposure of the same item to the same user if it follows within half an hour."""


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


def exposure_labels(
    dataset: Dataset, task: Task, exposures: NDArray[np.int64], allowed: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """1 where an exposure [X] (indices of events) was followed by the task's act within ATTRIBUTION_US, else 0.

    allowed [E]: events that may be looked at; an act outside is as if it had not happened.
    """
    events = dataset.events
    acts = np.flatnonzero((task.labels == 1.0) & (events.items >= 0) & allowed)

    def frame(index: NDArray[np.int64]) -> pl.DataFrame:
        return pl.DataFrame(
            {"user": events.users[index], "item": events.items[index], "time": events.times[index]}
        ).with_row_index()

    shown = frame(exposures).sort("time")
    acted = frame(acts).sort("time").with_columns(pl.lit(1.0).alias("acted")).drop("index")
    joined = shown.join_asof(
        acted, on="time", by=["user", "item"], strategy="forward", tolerance=ATTRIBUTION_US, check_sortedness=False
    )
    return joined.sort("index")["acted"].fill_null(0.0).to_numpy().astype(np.float32)
