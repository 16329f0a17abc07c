"""The request path: from a query to a slate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from penchant.leaves import Retrieved
from penchant.policy import MAX_CANDIDATES
from penchant.types import Keys
from services.recommender.filters import Filter, run_filters
from services.recommender.hydrators.item import ItemHydrator
from services.recommender.hydrators.user import UserHydrator
from services.recommender.query import Pool, Query, Removed, Scored, Slate, joined
from services.recommender.scorers.boosts import boosted
from services.recommender.scorers.ranker import RankerScorer
from services.recommender.selectors import select_slate
from services.recommender.sources.candidate_gen import CandidateSource, excluded_keys
from services.runtime.logs import logger

_log = logger("pipeline")
SideEffect = Callable[[Query, Slate, Removed], None]


@dataclass(frozen=True, slots=True)
class SlatePipeline:
    """The stages of one slate; services/recommender/assembly.py says which."""

    user_hydrator: UserHydrator
    source: CandidateSource
    item_hydrator: ItemHydrator
    filters: Sequence[Filter]
    scorer: RankerScorer
    side_effects: Sequence[SideEffect]

    async def execute(self, query: Query) -> Slate:
        """A slate, within the query's deadline. Raises InvalidArgument; UnknownBundle unless it is the last bundle."""
        query = await self.hydrate_query(query)
        retrieved = await self.retrieve(query)
        hydrated = self.hydrate(query, retrieved)
        kept, removed = self.filter(query, hydrated)
        kept = await self.backfill(query, kept, removed)
        scored = await self.score(query, kept)
        slate = self.select(query, scored)
        self.after_response(query, slate, removed)
        return slate

    async def hydrate_query(self, query: Query) -> Query:
        """Adds the user's state."""
        return await self.user_hydrator.hydrate(query)

    async def retrieve(self, query: Query) -> Retrieved:
        """A few hundred candidates; what can be excluded by id or attribute is excluded there."""
        return await self.source.retrieve(query, _asked(query), excluded_keys(query), query.include_seen)

    def hydrate(self, query: Query, retrieved: Retrieved) -> Pool:
        """Adds what the front door knows of the items."""
        return self.item_hydrator.hydrate(query, retrieved, _asked(query))

    def filter(self, query: Query, pool: Pool) -> tuple[Pool, Removed]:
        """What may be shown, and what was taken out."""
        return run_filters(self.filters, query, pool)

    async def backfill(self, query: Query, kept: Pool, removed: Removed) -> Pool:
        """One more round where fewer survive than were asked for and there is more to be had."""
        if len(kept) >= query.max_items or (len(kept) and kept.exhausted):
            return kept
        if len(kept):
            return joined(kept, await self._once_more(query, np.concatenate([kept.keys, removed.keys()])))
        return await self._something(query, kept, removed)

    async def _something(self, query: Query, nothing: Pool, removed: Removed) -> Pool:
        """Nothing survived: first other items, from any source; then what was seen before."""
        if len(removed.keys()) or query.sources:
            pool = await self._once_more(replace(query, sources=()), removed.keys())
            if len(pool):
                return pool
        if len(query.user.seen_keys) and not query.include_seen:
            pool = await self._once_more(replace(query, include_seen=True), removed.keys(but="seen"))
            if len(pool):
                query.degraded.say("filter_seen", "nothing unseen is left")
                return pool
        query.degraded.say("select", "no item meets the request's filter and exclusions")
        return nothing

    async def _once_more(self, query: Query, but: Keys) -> Pool:
        retrieved = await self.source.retrieve(query, _asked(query), excluded_keys(query, but), query.include_seen)
        return self.filter(query, self.hydrate(query, retrieved))[0]

    async def score(self, query: Query, pool: Pool) -> Scored:
        """Adds scores; what the user asked for in words rises, what they skipped sinks."""
        return boosted(query, await self.scorer.score(query, pool))

    def select(self, query: Query, scored: Scored) -> Slate:
        """The slate."""
        return select_slate(query, scored)

    def after_response(self, query: Query, slate: Slate, removed: Removed) -> None:
        """Starts what may happen later; nothing here waits or fails the request."""
        for effect in self.side_effects:
            try:
                effect(query, slate, removed)
            except Exception as error:
                _log.error("side effect failed", effect=type(effect).__name__, exc_info=error)


def _asked(query: Query) -> int:
    return min(max(query.placement.max_candidates, query.max_items), MAX_CANDIDATES)
