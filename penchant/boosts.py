"""What no model has learnt to read, over whatever scores there are: what the user searched for rises, what they skipped
sinks. The same code serves and evaluates."""

import numpy as np
from numpy.typing import NDArray

from penchant.features.kinds import DAY_US
from penchant.item_table import ItemTable
from penchant.leaves import UserState
from penchant.retrieval.text import lifted, text_vector
from penchant.types import Keys, Rows, Vector

HALF_LIFE_DAYS = 3.0
"""After which a skip weighs half."""


def asked_for(scores: Vector, rows: Rows, user: UserState, table: ItemTable, as_of_us: int) -> Vector:
    """Scores [B] of the rows [B] with what the user's newest texts add; retrieval order holds it already."""
    if not user.texts or len(rows) == 0:
        return scores
    vector = text_vector(user.texts, as_of_us, table)
    if vector is None:
        return scores
    return lifted(scores, np.asarray(table.content[rows], np.float32), vector)


def lowered(scores: Vector, keys: Keys, user: UserState, event_weights: NDArray[np.float64], as_of_us: int) -> Vector:
    """Scores [B] of the items less the weights of the user's negative events on each, in their standard deviations.

    event_weights: of each event-type code, the policy's; a weight halves every HALF_LIFE_DAYS. Scores that are no
    number stay so.
    """
    if len(user.lowered_keys) == 0 or len(keys) == 0:
        return scores
    order = np.argsort(keys)
    place = np.minimum(np.searchsorted(keys, user.lowered_keys, sorter=order), len(keys) - 1)
    at = order[place]
    here = keys[at] == user.lowered_keys
    if not here.any():
        return scores
    age_days = np.maximum(as_of_us - user.lowered_times[here], 0) / DAY_US
    weights = np.minimum(event_weights[user.lowered_types[here]], 0.0)
    found = scores.astype(np.float32, copy=True)
    finite = found[np.isfinite(found)]
    spread = float(finite.std()) if len(finite) else 0.0
    np.add.at(found, at[here], (weights * np.exp2(-age_days / HALF_LIFE_DAYS) * (spread or 1.0)).astype(np.float32))
    return found
