"""The leaves over gRPC."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from penchant.leaves import FetchedUsers, Ranked, RankingQuery, RetrievalQuery, Retrieved
from penchant.types import Keys
from penchant.v1 import (
    candidate_gen_service_pb2,
    candidate_gen_service_pb2_grpc,
    feature_store_service_pb2,
    feature_store_service_pb2_grpc,
    ranker_service_pb2,
    ranker_service_pb2_grpc,
    status_service_pb2,
    status_service_pb2_grpc,
)
from services.runtime.channels import Metadata
from services.runtime.wire import (
    candidates_from_proto,
    candidates_to_proto,
    conditions_to_proto,
    pack,
    unpack,
    user_state_from_proto,
    user_state_to_proto,
)
from services.runtime.wire_errors import error_of

_STATUS_DEADLINE_S = 1.0


@dataclass(frozen=True, slots=True)
class GrpcFeatureLeaf:
    """The feature store over gRPC."""

    stub: "feature_store_service_pb2_grpc.FeatureStoreServiceAsyncStub"
    metadata: Metadata = ()

    async def fetch_users(
        self, user_keys: Keys, as_of_us: int, minimum_position: int, deadline_s: float
    ) -> FetchedUsers:
        """See penchant.leaves.FeatureLeaf."""
        request = feature_store_service_pb2.FetchFeaturesRequest(
            user_keys=user_keys.tolist(), as_of_us=as_of_us, minimum_position=minimum_position
        )
        answer = await _called(self.stub.FetchFeatures, request, deadline_s, self.metadata)
        return FetchedUsers(
            tuple(user_state_from_proto(user, f"users[{i}]") for i, user in enumerate(answer.users)),
            answer.events_applied_through,
            answer.item_table_position,
        )


@dataclass(frozen=True, slots=True)
class GrpcRetrievalLeaf:
    """Candidate generation over gRPC."""

    stub: "candidate_gen_service_pb2_grpc.CandidateGenServiceAsyncStub"
    metadata: Metadata = ()

    async def retrieve(self, query: RetrievalQuery, deadline_s: float) -> Retrieved:
        """See penchant.leaves.RetrievalLeaf."""
        request = candidate_gen_service_pb2.RetrieveCandidatesRequest(
            bundle_version=query.bundle_version,
            user=user_state_to_proto(query.user),
            max_candidates=query.max_candidates,
            excluded_keys=pack(query.excluded_keys, np.int64),
            include_seen=query.include_seen,
            filter=conditions_to_proto(query.conditions) if query.conditions else None,
            sources=query.sources,
            caller_keys=pack(query.caller_keys, np.int64),
            similar_to_keys=pack(query.similar_to_keys, np.int64),
            as_of_us=query.as_of_us,
            similar_users=query.similar_users,
        )
        answer = await _called(self.stub.RetrieveCandidates, request, deadline_s, self.metadata)
        return Retrieved(
            candidates_from_proto(answer.candidates),
            answer.item_table_position,
            tuple(answer.degraded_sources),
            unpack(answer.similar_user_keys, np.int64, "similar_user_keys"),
            unpack(answer.similar_user_scores, np.float32, "similar_user_scores"),
        )


@dataclass(frozen=True, slots=True)
class GrpcRankingLeaf:
    """The ranker over gRPC."""

    stub: "ranker_service_pb2_grpc.RankerServiceAsyncStub"
    metadata: Metadata = ()

    async def rank(self, query: RankingQuery, deadline_s: float) -> Ranked:
        """See penchant.leaves.RankingLeaf."""
        request = ranker_service_pb2.RankCandidatesRequest(
            bundle_version=query.bundle_version,
            user=user_state_to_proto(query.user),
            candidates=candidates_to_proto(query.candidates),
            as_of_us=query.as_of_us,
            return_features=query.return_features,
        )
        answer = await _called(self.stub.RankCandidates, request, deadline_s, self.metadata)
        count, tasks = len(query.candidates.rows), tuple(answer.tasks)
        scores = unpack(answer.scores, np.float32, "scores").reshape(count, len(tasks))
        features = unpack(answer.features, np.float32, "features") if answer.features else None
        return Ranked(
            scores,
            tasks,
            answer.item_table_position,
            features.reshape(count, -1) if features is not None else None,
        )


def leaf_versions(channel: grpc.aio.Channel, metadata: Metadata = ()) -> Callable[[], Awaitable[tuple[str, ...]]]:
    """Asks a leaf which bundles it holds, newest first."""
    stub = status_service_pb2_grpc.StatusServiceStub(channel)

    async def ask() -> tuple[str, ...]:
        request = status_service_pb2.GetStatusRequest()
        answer = await _called(stub.GetStatus, request, _STATUS_DEADLINE_S, metadata)
        return tuple(answer.bundle_versions)

    return ask


async def _called(call: Any, request: Any, deadline_s: float, metadata: Metadata) -> Any:
    try:
        return await call(request, timeout=deadline_s, metadata=metadata or None)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise TimeoutError from None
        raise error_of(error) from None
