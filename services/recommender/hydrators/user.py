"""Who asks: the user's state from the feature store."""

from dataclasses import dataclass, replace

import numpy as np

from penchant.errors import StoreUnavailable
from penchant.leaves import FeatureLeaf, FetchedUsers, UserState
from services.recommender.deadline import limited
from services.recommender.query import Query

_SHARE = 0.4
_SHARE_WAITING = 0.6


@dataclass(frozen=True, slots=True)
class UserHydrator:
    """Adds user, events_applied_through and token_satisfied; a store that fails leaves a stranger with the same key."""

    leaf: FeatureLeaf

    async def hydrate(self, query: Query) -> Query:
        """The query with its user. Never another user's state: a mixed-up answer counts as none.

        Who was merged into another user is that user from here on, in the exposure log too.
        """
        if query.user_key == 0:
            return query
        share = _SHARE_WAITING if query.minimum_position else _SHARE
        try:
            fetched = await limited(lambda s: self._fetch(query, s), query.deadline.left_s(share))
            user = fetched.users[0]
            if (user.merged_from or user.user_key) != query.user_key:
                raise StoreUnavailable(f"asked for user {query.user_key}, the store answered {user.user_key}")
        except Exception as error:
            query.degraded.failed("hydrate_query", error)
            return replace(query, user=UserState(query.user_key), token_satisfied=query.minimum_position == 0)
        applied = fetched.events_applied_through
        return replace(
            query,
            user=user,
            user_key=user.user_key,
            events_applied_through=applied,
            token_satisfied=applied >= query.minimum_position,
        )

    async def _fetch(self, query: Query, seconds: float) -> FetchedUsers:
        keys = np.array([query.user_key], np.int64)
        return await self.leaf.fetch_users(keys, query.as_of_us, query.minimum_position, seconds)
