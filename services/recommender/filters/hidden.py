"""Items the user hid or disliked."""

from penchant.types import Mask
from services.recommender.filters.filter import is_among
from services.recommender.query import Pool, Query


class HiddenFilter:
    """Removes the hidden, also where seen items may return."""

    name = "hidden"
    protects = True

    def allowed(self, query: Query, pool: Pool) -> Mask:
        """bool [B]."""
        return ~is_among(pool.keys, query.user.hidden_keys)
