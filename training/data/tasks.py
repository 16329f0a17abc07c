"""Ranking tasks as rules over events: "value >= 4", "value", "type == click", "type in (like, purchase)"."""

import operator
import re

import numpy as np
from numpy.typing import NDArray

from penchant.errors import ConfigError
from penchant.events import EVENT_TYPES
from training.data.dataset import Dataset

_VALUE = re.compile(r"value\s*(>=|<=|>|<|==)\s*(-?\d+(?:\.\d+)?)")
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq}


def check_rule(rule: str) -> None:
    """Raise ConfigError if labels() does not know the rule."""
    if reads_values(rule):
        return
    names = _names(rule.strip())
    if names is None:
        raise ConfigError(f"task rule {rule!r}: write `value >= 4`, `value`, `type == click` or `type in (a, b)`")
    if unknown := [name for name in names if name not in EVENT_TYPES]:
        raise ConfigError(f"task rule {rule!r} names {unknown[0]!r}: event types are {', '.join(sorted(EVENT_TYPES))}")


def reads_values(rule: str) -> bool:
    """Whether a rule is about values."""
    return is_regression(rule) or _VALUE.fullmatch(rule.strip()) is not None


def _names(rule: str) -> list[str] | None:
    """The event types that a rule of types names; None for any other rule."""
    match = re.fullmatch(r"type\s*==\s*(\w+)|type\s+in\s+\(([\w\s,]+)\)", rule)
    return None if match is None else [name.strip() for name in (match[1] or match[2]).split(",") if name.strip()]


def labels(dataset: Dataset, rule: str) -> NDArray[np.float32]:
    """One label an event, float32 [E]; NaN where the rule says nothing of it. Raises ConfigError for a bad rule."""
    values = dataset.events.values
    check_rule(rule)
    rule = rule.strip()
    if rule == "value":
        return values
    if match := _VALUE.fullmatch(rule):
        compared = _COMPARE[match[1]](values, float(match[2]))
        return np.where(np.isnan(values), np.nan, compared).astype(np.float32)
    names = _names(rule) or []
    wanted = np.array([t in names for t in dataset.event_types])
    return wanted[dataset.events.types].astype(np.float32)


def is_regression(rule: str) -> bool:
    """Whether the task predicts a number rather than a yes or no."""
    return rule.strip() == "value"
