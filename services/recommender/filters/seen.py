"""Items the user has acted on."""

import numpy as np

from penchant.types import Mask
from services.recommender.filters.filter import is_among
from services.recommender.query import Pool, Query


class SeenItemsFilter:
    """Removes the seen, unless the query leaves them in."""

    name = "seen"
    protects = False

    def allowed(self, query: Query, pool: Pool) -> Mask:
        """bool [B]."""
        if query.include_seen:
            return np.ones(len(pool), np.bool_)
        return ~is_among(pool.keys, query.user.seen_keys)
