"""Items the caller does not want."""

import numpy as np

from penchant.types import Mask
from services.recommender.query import Pool, Query
from services.recommender.sources.candidate_gen import excluded_keys


class ExcludedFilter:
    """Removes what the request excludes."""

    name = "excluded"
    protects = True

    def allowed(self, query: Query, pool: Pool) -> Mask:
        """bool [B]."""
        excluded = excluded_keys(query)
        return ~np.isin(pool.keys, excluded) if len(excluded) else np.ones(len(pool), np.bool_)
