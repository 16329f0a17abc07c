"""What the user skipped sinks: a rule of the policy, over whatever scores there are."""

from dataclasses import replace

import numpy as np

from penchant.features.kinds import DAY_US
from services.recommender.query import Query, Scored

HALF_LIFE_DAYS = 3.0


def lowered(query: Query, scored: Scored) -> Scored:
    """Scores less the weights of the negative events on each item, in standard deviations of the pool's scores.

    An event's weight is the policy's for its type; it halves every HALF_LIFE_DAYS. Scores that are no number stay so.
    """
    user, pool = query.user, scored.pool
    if len(user.lowered_keys) == 0 or len(pool) == 0:
        return scored
    order = np.argsort(pool.keys)
    place = np.minimum(np.searchsorted(pool.keys, user.lowered_keys, sorter=order), len(pool) - 1)
    rows = order[place]
    here = pool.keys[rows] == user.lowered_keys
    if not here.any():
        return scored
    age_days = np.maximum(query.as_of_us - user.lowered_times[here], 0) / DAY_US
    weights = np.minimum(query.event_weights[user.lowered_types[here]], 0.0)
    scores = scored.scores.astype(np.float32, copy=True)
    finite = scores[np.isfinite(scores)]
    spread = float(finite.std()) if len(finite) else 0.0
    np.add.at(scores, rows[here], (weights * np.exp2(-age_days / HALF_LIFE_DAYS) * (spread or 1.0)).astype(np.float32))
    return replace(scored, scores=scores)
