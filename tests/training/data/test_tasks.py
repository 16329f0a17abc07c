"""Task rules give one label an event."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from penchant.errors import ConfigError
from training.data.dataset import Dataset
from training.data.table import build
from training.data.tasks import check_rule, is_regression, labels, reads_values


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    table = pl.DataFrame(
        {
            "user": ["u"] * 4, "item": list("abcd"), "time": [1, 2, 3, 4],
            "type": ["click", "rating", "purchase", "rating"], "value": [None, 4.0, None, 3.5],
        }
    )  # fmt: skip
    return build(name="d", folder=Path("."), frame=table, has_times=True, tasks={}, counts={})


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("value", [np.nan, 4.0, np.nan, 3.5]),
        ("value >= 4", [np.nan, 1, np.nan, 0]),
        ("value<4", [np.nan, 0, np.nan, 1]),
        ("value == 3.5", [np.nan, 0, np.nan, 1]),
        ("type == click", [1, 0, 0, 0]),
        ("type in (click, purchase)", [1, 0, 1, 0]),
        (" type  in (like) ", [0, 0, 0, 0]),
    ],
)
def test_rules(dataset: Dataset, rule: str, expected: list[float]) -> None:
    np.testing.assert_array_equal(labels(dataset, rule), np.array(expected, np.float32))


@pytest.mark.parametrize(
    "rule", ["", "value >", "value >= four", "type = click", "type in ()", "type == klick", "1; drop"]
)
def test_a_rule_nobody_knows_is_refused_and_says_what_is_known(dataset: Dataset, rule: str) -> None:
    with pytest.raises(ConfigError, match="task rule"):
        labels(dataset, rule)
    with pytest.raises(ConfigError):
        check_rule(rule)


def test_only_the_bare_value_is_a_regression() -> None:
    assert is_regression(" value ")
    assert not is_regression("value >= 4")
    assert reads_values("value >= 4")
    assert not reads_values("type == click")
