"""Candidates from candidate_gen; popular items when it fails."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penchant.errors import InvalidArgument, UnknownBundle
from penchant.leaves import Candidates, RetrievalLeaf, RetrievalQuery, Retrieved
from penchant.types import Keys
from services.recommender.deadline import limited
from services.recommender.query import Query
from services.recommender.sources.popular import popular

_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class CandidateSource:
    """One RetrieveCandidates a query. Its time is a half of what is left: ranking comes after it."""

    leaf: RetrievalLeaf

    async def retrieve(self, query: Query, asked: int, excluded: Keys, include_seen: bool) -> Retrieved:
        """At most `asked` candidates, best blended first.

        Raises InvalidArgument for what the caller asked wrongly, UnknownBundle while another bundle is left to try.
        """
        wanted = RetrievalQuery(
            query.catalogue.version, query.user, asked, query.as_of_us, excluded, include_seen, query.conditions,
            query.sources, query.caller_keys, query.similar_to,
        )  # fmt: skip
        try:
            retrieved = await limited(lambda s: self.leaf.retrieve(wanted, s), query.deadline.left_s(_SHARE))
        except InvalidArgument:
            raise
        except Exception as error:
            if isinstance(error, UnknownBundle) and not query.last_bundle:
                raise
            query.degraded.failed("retrieve", error)
            return popular(query, asked, excluded, include_seen)
        for source in retrieved.degraded_sources:
            # That similar_to is unknown the front door has said already, in these words.
            query.degraded.say("retrieve", source.removeprefix("similar_to:"))
        if query.sources and not _proposed_by(query.sources, retrieved.candidates):
            query.degraded.say("retrieve", "nothing from the sources asked for")
        return retrieved


def _proposed_by(sources: Sequence[str], candidates: Candidates) -> bool:
    """Whether any candidate comes from one of the sources; retrieval fills up with popular items where none does."""
    wanted = sum(1 << i for i, name in enumerate(candidates.source_names) if name in sources)
    return bool((candidates.source_bits & np.uint32(wanted)).any())


def excluded_keys(query: Query, more: Keys | None = None) -> Keys:
    """What must not come back: the caller's exclusions, the item that others are to be like, and `more`."""
    parts = [part for part in (query.excluded_keys, query.similar_to, more) if part is not None and len(part)]
    return np.concatenate(parts) if len(parts) > 1 else (parts[0] if parts else query.excluded_keys)
