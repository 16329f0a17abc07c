"""python -m services.recommender: the front door as a service of its own, its leaves over gRPC."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import grpc

from penchant.bundle import Manifest
from penchant.v1 import (
    candidate_gen_service_pb2_grpc,
    feature_store_service_pb2_grpc,
    ranker_service_pb2_grpc,
)
from services.recommender.assembly import assemble, open_exposures
from services.recommender.catalogue import Catalogue
from services.recommender.config import RecommenderSettings
from services.recommender.leaves import GrpcFeatureLeaf, GrpcRankingLeaf, GrpcRetrievalLeaf, leaf_versions
from services.recommender.server import SERVICES, IngestionForwarder, RecommenderServicer, register_recommender
from services.recommender.status import front_door_status
from services.recommender.versions import BundleChoice
from services.runtime import logs
from services.runtime.bundles import BundleHolder
from services.runtime.channels import open_channel, token_metadata
from services.runtime.config import load
from services.runtime.items import ItemFeed, watch_feature_store
from services.runtime.loaded import load_bundle
from services.runtime.policy_file import PolicyFile
from services.runtime.readiness import readiness
from services.runtime.server import run, serve
from services.runtime.trend import TrendFeed, watch_trend


def now_us() -> int:
    """UTC microseconds."""
    return time.time_ns() // 1000


async def main(
    settings: RecommenderSettings | None = None,
    stop: asyncio.Event | None = None,
    listening: Callable[[int], None] = lambda port: None,
) -> None:
    """Serve until told to stop; without settings, those of penchant.toml and the environment."""
    settings = settings or load("recommender", RecommenderSettings)
    logs.configure(settings.log_level, settings.log_format)
    policy = PolicyFile(settings.policy, time.monotonic)
    metadata = token_metadata(settings.leaf_token)
    feed = ItemFeed()

    def open_catalogue(folder: Path, manifest: Manifest) -> Catalogue:
        # The item tower too: a selector that compares items must know where new ones lie.
        bundle = load_bundle(folder, manifest, retrieval=False, ranking=False)
        feed.attach(bundle.table, bundle.embed)
        return Catalogue.open(folder, manifest, bundle.table)

    async with contextlib.AsyncExitStack() as stack:

        def channel(address: str) -> grpc.aio.Channel:
            opened = open_channel(address, settings.leaf_ca)
            stack.push_async_callback(opened.close)
            return opened

        candidate_gen = channel(settings.candidate_gen)
        ranker = channel(settings.ranker)
        feature_store = channel(settings.feature_store)
        holder = BundleHolder(settings.bundles, open_catalogue, settings.bundle_poll_s)
        leaves = {
            "candidate_gen": leaf_versions(candidate_gen, metadata),
            "ranker": leaf_versions(ranker, metadata),
        }
        choice = BundleChoice(lambda: holder.versions, leaves, settings.status_poll_s)
        exposures = open_exposures(settings)
        if exposures is not None:
            stack.push_async_callback(exposures.close)
        door = assemble(
            GrpcFeatureLeaf(feature_store_service_pb2_grpc.FeatureStoreServiceStub(feature_store), metadata),
            GrpcRetrievalLeaf(candidate_gen_service_pb2_grpc.CandidateGenServiceStub(candidate_gen), metadata),
            GrpcRankingLeaf(ranker_service_pb2_grpc.RankerServiceStub(ranker), metadata),
            choice,
            holder.get,
            [exposures] if exposures is not None else [],
        )
        forwarder = IngestionForwarder(feature_store, metadata, settings.default_deadline_s)
        trend = TrendFeed()
        servicer = RecommenderServicer(door, policy, now_us, settings.exposure_features_rate, trend)
        for watching in (
            watch_feature_store(feature_store, feed, metadata),
            watch_trend(feature_store, trend, metadata),
        ):
            stack.callback(asyncio.create_task(watching).cancel)
        await holder.start()
        stack.push_async_callback(holder.stop)
        await choice.start()
        stack.push_async_callback(choice.stop)

        def register(server: grpc.aio.Server) -> None:
            register_recommender(servicer, server)
            forwarder.register(server)

        await serve(
            "recommender",
            settings,
            register,
            lambda: front_door_status(door, policy, feed.position, exposures, holder.refused),
            readiness(lambda: holder.versions, feed),
            SERVICES,
            stop,
            listening,
        )


if __name__ == "__main__":
    sys.exit(run(main))
