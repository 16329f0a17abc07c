"""python -m services.standalone: the front door and every leaf in one process, called directly, on one port."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable

import grpc

from penchant.v1.candidate_gen_service_pb2_grpc import add_CandidateGenServiceServicer_to_server
from penchant.v1.ranker_service_pb2_grpc import add_RankerServiceServicer_to_server
from services.candidate_gen.compaction import compact_deltas
from services.candidate_gen.leaf import CandidateGen
from services.candidate_gen.server import SERVICE as CANDIDATE_GEN
from services.candidate_gen.server import CandidateGenServicer
from services.feature_store.leaf import FeatureStore
from services.feature_store.open import open_leaf
from services.feature_store.server import SERVICE_NAMES as FEATURE_STORE
from services.feature_store.server import register as register_feature_store
from services.feature_store.server import wall_clock_us
from services.ranker.leaf import Ranker
from services.ranker.server import SERVICE as RANKER
from services.ranker.server import RankerServicer
from services.recommender.assembly import assemble, open_exposures
from services.recommender.server import RECOMMENDER, RecommenderServicer, register_recommender
from services.recommender.status import front_door_status
from services.recommender.versions import BundleChoice
from services.runtime import logs
from services.runtime.config import load
from services.runtime.items import ItemFeed
from services.runtime.policy_file import PolicyFile
from services.runtime.readiness import readiness
from services.runtime.server import run, serve
from services.runtime.status import StatusSnapshot
from services.runtime.trend import TrendFeed
from services.standalone.config import StandaloneSettings
from services.standalone.shared import SharedBundles


async def main(
    settings: StandaloneSettings | None = None,
    stop: asyncio.Event | None = None,
    listening: Callable[[int], None] = lambda port: None,
) -> None:
    """Serve until told to stop; without settings, those of penchant.toml and the environment."""
    chosen = settings or load("standalone", StandaloneSettings)
    logs.configure(chosen.log_level, chosen.log_format)
    policy = PolicyFile(chosen.policy, time.monotonic)
    feed = ItemFeed()
    bundles = SharedBundles(chosen.bundles, feed, chosen.index, chosen.bundle_poll_s)
    holder = bundles.holder
    async with contextlib.AsyncExitStack() as stack:
        await holder.start()
        stack.push_async_callback(holder.stop)
        store = open_leaf(chosen, bundles.schema, policy.current)
        await store.start(wall_clock_us())
        stack.push_async_callback(store.stop)
        following = asyncio.create_task(follow_items(store, feed))
        stack.callback(following.cancel)
        compacting = asyncio.create_task(compact_deltas(holder))
        stack.callback(compacting.cancel)
        exposures = open_exposures(chosen)
        if exposures is not None:
            stack.push_async_callback(exposures.close)
        trend = TrendFeed()
        trending = asyncio.create_task(follow_trend(store, trend))
        stack.callback(trending.cancel)
        retrieval, ranking = CandidateGen(holder, trend), Ranker(holder)
        door = assemble(
            store,
            retrieval,
            ranking,
            BundleChoice(lambda: holder.versions),
            bundles.catalogue,
            [exposures] if exposures is not None else [],
        )
        recommender = RecommenderServicer(door, policy, wall_clock_us, chosen.exposure_features_rate, trend)

        def register(server: grpc.aio.Server) -> None:
            register_recommender(recommender, server)
            register_feature_store(store, server, chosen.default_deadline_s)
            add_CandidateGenServiceServicer_to_server(
                CandidateGenServicer(retrieval, chosen.default_deadline_s), server
            )  # fmt: skip
            add_RankerServiceServicer_to_server(RankerServicer(ranking, chosen.default_deadline_s), server)

        def status() -> StatusSnapshot:
            counted = {**store.metrics(), **retrieval.numbers(), **ranking.numbers()}
            return front_door_status(door, policy, feed.position, exposures, holder.refused, counted, store.applied)

        await serve(
            "standalone",
            chosen,
            register,
            status,
            readiness(lambda: holder.versions, feed),
            (RECOMMENDER, *FEATURE_STORE, CANDIDATE_GEN, RANKER),
            stop,
            listening,
        )


async def follow_items(store: FeatureStore, feed: ItemFeed, retry_s: float = 1.0) -> None:
    """Hand every written item on to the item tables, until cancelled; after a failure all of them again."""
    while True:
        try:
            async for run_ in store.item_changes(0):
                await asyncio.to_thread(feed.apply, run_.changes, run_.snapshot)
        except Exception as error:
            logs.logger("items").error("written items are not followed, trying again", error=repr(error))
        await asyncio.sleep(retry_s)


async def follow_trend(store: FeatureStore, feed: TrendFeed) -> None:
    """Hand what is trending on to retrieval and the front door, until cancelled."""
    async for now in store.trend_changes():
        feed.now = now


if __name__ == "__main__":
    sys.exit(run(main))
