"""Items that cannot be named."""

from penchant.types import Mask
from services.recommender.query import Pool, Query


class NonReturnableFilter:
    """Removes items whose id is not known here: written a moment ago, and not arrived at the front door."""

    name = "non_returnable"
    protects = True

    def allowed(self, query: Query, pool: Pool) -> Mask:
        """bool [B]."""
        return pool.rows > 0
