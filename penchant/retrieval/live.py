"""The live trend over an item table: what happens now, added to what the bundle knows."""

import numpy as np
from numpy.typing import NDArray

from penchant.item_table import ItemTable
from penchant.retrieval.rows import look_up
from penchant.trend import PRIOR_WEIGHT, TrendSnapshot
from penchant.types import Rows, Vector

LEAST_WEIGHT = 0.05
"""Live events below this weight are as good as none."""


def live_shares(trend: TrendSnapshot, table: ItemTable, as_of_us: int) -> tuple[Rows, Vector]:
    """Rows of the items that are trending, ascending, and what live events add to their share of the trend."""
    weights = trend.aged(as_of_us)
    heavy = weights > LEAST_WEIGHT
    if not heavy.any():
        return np.empty(0, np.uint32), np.empty(0, np.float32)
    rows = table.rows_of(trend.keys[heavy])
    known = rows > 0
    rows, shares = rows[known], weights[heavy][known] / np.float32(PRIOR_WEIGHT)
    order = np.argsort(rows)
    return np.asarray(rows[order], np.uint32), np.asarray(shares[order], np.float32)


def with_live(log_shares: Vector, rows: NDArray[np.integer], live_rows: Rows, shares: Vector) -> Vector:
    """Log shares [B] of rows with what live events add."""
    if len(live_rows) == 0:
        return log_shares
    added = look_up(np.asarray(rows, np.uint32), live_rows, shares)
    return np.where(added > 0, np.logaddexp(log_shares, np.log(np.maximum(added, 1e-12))), log_shares).astype(
        np.float32
    )
