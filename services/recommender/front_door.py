"""Answers queries out of the bundle that everyone holds, and once out of the one before."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from penchant.errors import UnknownBundle
from penchant.ids import key
from penchant.leaves import RetrievalLeaf, RetrievalQuery
from penchant.types import Vector
from services.recommender.catalogue import Catalogue
from services.recommender.deadline import limited
from services.recommender.degraded import Degraded
from services.recommender.hydrators.user import UserHydrator
from services.recommender.pipeline import SlatePipeline
from services.recommender.query import Query, Slate
from services.recommender.versions import BundleChoice

_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class SimilarUsers:
    """Ids and cosines, most similar first."""

    query: Query
    ids: list[str]
    scores: Vector
    item_table_position: int


@dataclass(slots=True)
class FrontDoor:
    """What stands behind the front door's three questions."""

    choice: BundleChoice
    catalogue_of: Callable[[str], Catalogue]
    """By version. Raises UnknownBundle."""
    pipeline: SlatePipeline
    user_hydrator: UserHydrator
    retrieval: RetrievalLeaf
    answered: int = 0
    degraded: int = 0
    events_applied_through: int = 0
    """The newest log position any answer has seen."""

    def catalogues(self) -> tuple[Catalogue, ...]:
        """What to answer from, the best first. Raises UnknownBundle before the first bundle is here."""
        return tuple(self.catalogue_of(version) for version in self.choice.versions())

    async def recommend(self, query: Query, older: Catalogue | None) -> Slate:
        """A slate for a user. `older`: the catalogue to fall back on where a leaf lacks the query's."""
        return await self._slate(query, older)

    async def recommend_similar(self, query: Query, older: Catalogue | None) -> Slate:
        """A slate of items like query.similar_to; popular ones if that is unknown."""
        table = query.table
        if not table.rows_of(query.similar_to).any():
            query.degraded.say("retrieve", "unknown item, popular ones instead")
        return await self._slate(query, older)

    async def _slate(self, query: Query, older: Catalogue | None) -> Slate:
        if query.last_bundle != (older is None):
            query = replace(query, last_bundle=older is None)
        try:
            slate = await self.pipeline.execute(query)
        except UnknownBundle:
            if older is None:
                raise
            again = replace(query, catalogue=older, table=older.table.view(), degraded=Degraded(), last_bundle=True)
            slate = await self.pipeline.execute(again)
        self._count(slate.query)
        return slate

    def _count(self, query: Query) -> None:
        self.answered += 1
        self.degraded += bool(query.degraded.stages)
        self.events_applied_through = max(self.events_applied_through, query.events_applied_through)

    async def recommend_users(self, query: Query, older: Catalogue | None) -> SimilarUsers:
        """Users like the query's; none for a user without history."""
        query = await self.user_hydrator.hydrate(query)
        wanted = RetrievalQuery(
            query.catalogue.version, query.user, query.max_items, query.as_of_us, similar_users=True
        )  # fmt: skip
        try:
            found = await limited(lambda s: self.retrieval.retrieve(wanted, s), query.deadline.left_s(_SHARE))
        except Exception as error:
            if isinstance(error, UnknownBundle) and older is not None:
                return await self.recommend_users(replace(query, catalogue=older, table=older.table.view()), None)
            query.degraded.failed("retrieve", error)
            self._count(query)
            return SimilarUsers(query, [], np.empty(0, np.float32), query.table.position)
        self._count(query)
        ids = query.catalogue.ids_of_users(found.similar_user_keys)
        columns = zip(ids, found.similar_user_keys.tolist(), found.similar_user_scores.tolist(), strict=True)
        # Keys are of (tenant, id): another tenant's users are not named.
        named = [(id_, score) for id_, user_key, score in columns if id_ and key(query.tenant, id_) == user_key]
        scores = np.array([score for _, score in named], np.float32)
        return SimilarUsers(query, [id_ for id_, _ in named], scores, found.item_table_position)
