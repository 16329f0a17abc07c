"""RetrieveCandidates as the leaf's value types, and back."""

import numpy as np

from penchant.errors import InvalidArgument
from penchant.leaves import RetrievalQuery, Retrieved
from penchant.v1 import candidate_gen_service_pb2 as messages
from services.runtime.wire import candidates_to_proto, conditions_from_proto, pack, unpack, user_state_from_proto

MAX_EXCLUDED = 20_000
"""10,000 that a caller may exclude, and the slate's context."""


def query_from_request(request: messages.RetrieveCandidatesRequest) -> RetrievalQuery:
    """The query. Raises InvalidArgument for columns that cannot be read or exceed their bound."""
    excluded = unpack(request.excluded_keys, np.int64, "excluded_keys")
    if len(excluded) > MAX_EXCLUDED:
        raise InvalidArgument("excluded_keys", f"{len(excluded)} keys, at most {MAX_EXCLUDED}")
    return RetrievalQuery(
        request.bundle_version,
        user_state_from_proto(request.user),
        request.max_candidates,
        request.as_of_us,
        excluded,
        request.include_seen,
        conditions_from_proto(request.filter),
        tuple(request.sources),
        unpack(request.caller_keys, np.int64, "caller_keys"),
        unpack(request.similar_to_keys, np.int64, "similar_to_keys"),
        request.similar_users,
    )


def response_of(retrieved: Retrieved) -> messages.RetrieveCandidatesResponse:
    """The answer as a message."""
    return messages.RetrieveCandidatesResponse(
        candidates=candidates_to_proto(retrieved.candidates),
        item_table_position=retrieved.item_table_position,
        degraded_sources=retrieved.degraded_sources,
        similar_user_keys=pack(retrieved.similar_user_keys, np.int64),
        similar_user_scores=pack(retrieved.similar_user_scores, np.float32),
    )
