"""Items that are deleted or taken off."""

import numpy as np

from penchant.types import Mask
from services.recommender.query import Pool, Query


class UnavailableFilter:
    """Removes what the front door's item table knows to be gone, also where candidate_gen has not heard of it yet."""

    name = "unavailable"
    protects = True

    def allowed(self, query: Query, pool: Pool) -> Mask:
        """bool [B]; row 0 passes: it is the non-returnable filter's."""
        return np.asarray(query.table.available[pool.rows] | (pool.rows == 0))
