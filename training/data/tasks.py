"""Ranking tasks as rules over events: "value >= 4", "value", "type == click", "type in (like, purchase)"."""

import operator
import re

import numpy as np
from numpy.typing import NDArray

from penchant.errors import ConfigError
from training.data.dataset import Dataset

_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq}


def labels(dataset: Dataset, rule: str) -> NDArray[np.float32]:
    """One label an event, float32 [E]; NaN where the rule says nothing of it. Raises ConfigError for a bad rule."""
    values = dataset.events.values
    rule = rule.strip()
    if rule == "value":
        return values
    if match := re.fullmatch(r"value\s*(>=|<=|>|<|==)\s*(-?\d+(?:\.\d+)?)", rule):
        compared = _COMPARE[match[1]](values, float(match[2]))
        return np.where(np.isnan(values), np.nan, compared).astype(np.float32)
    names = None
    if match := re.fullmatch(r"type\s*==\s*(\w+)", rule):
        names = [match[1]]
    elif match := re.fullmatch(r"type\s+in\s+\(([\w\s,]+)\)", rule):
        names = [n.strip() for n in match[1].split(",")]
    if names is None:
        raise ConfigError(f"task rule {rule!r}: write `value >= 4`, `value`, `type == click` or `type in (a, b)`")
    wanted = np.array([t in names for t in dataset.event_types])
    return wanted[dataset.events.types].astype(np.float32)


def is_regression(rule: str) -> bool:
    """Whether the task predicts a number rather than a yes or no."""
    return rule.strip() == "value"
