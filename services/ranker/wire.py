"""RankCandidates as the leaf's value types, and back."""

import numpy as np

from penchant.leaves import Ranked, RankingQuery
from penchant.v1 import ranker_service_pb2 as messages
from services.runtime.wire import candidates_from_proto, pack, user_state_from_proto


def query_from_request(request: messages.RankCandidatesRequest) -> RankingQuery:
    """The query. Raises InvalidArgument for columns that cannot be read."""
    return RankingQuery(
        request.bundle_version,
        user_state_from_proto(request.user),
        candidates_from_proto(request.candidates),
        request.as_of_us,
        request.return_features,
    )


def response_of(ranked: Ranked) -> messages.RankCandidatesResponse:
    """The answer as a message."""
    return messages.RankCandidatesResponse(
        scores=pack(ranked.scores, np.float32),
        tasks=ranked.tasks,
        features=b"" if ranked.features is None else pack(ranked.features, np.float32),
        item_table_position=ranked.item_table_position,
    )
