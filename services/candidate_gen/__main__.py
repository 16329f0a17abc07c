"""python -m services.candidate_gen"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import grpc

from penchant.bundle import Manifest
from penchant.v1.candidate_gen_service_pb2_grpc import add_CandidateGenServiceServicer_to_server
from services.candidate_gen.compaction import compact_deltas
from services.candidate_gen.config import CandidateGenSettings
from services.candidate_gen.leaf import CandidateGen
from services.candidate_gen.server import SERVICE, CandidateGenServicer
from services.runtime.bundles import BundleHolder
from services.runtime.config import load
from services.runtime.items import ItemFeed
from services.runtime.leaf import serve_leaf
from services.runtime.loaded import LoadedBundle, load_bundle
from services.runtime.server import run
from services.runtime.trend import TrendFeed


async def main(
    settings: CandidateGenSettings | None = None,
    stop: asyncio.Event | None = None,
    listening: Callable[[int], None] = lambda port: None,
) -> None:
    """Serve until told to stop; without settings, those of penchant.toml and the environment."""
    chosen = settings or load("candidate_gen", CandidateGenSettings)
    feed = ItemFeed()

    def open_bundle(folder: Path, manifest: Manifest) -> LoadedBundle:
        bundle = load_bundle(folder, manifest, ranking=False, index=chosen.index)
        feed.attach(bundle.table, bundle.embed)
        return bundle

    holder = BundleHolder(chosen.bundles, open_bundle, chosen.bundle_poll_s)
    trend = TrendFeed()
    leaf = CandidateGen(holder, trend)

    def register(server: grpc.aio.Server) -> None:
        servicer = CandidateGenServicer(leaf, chosen.default_deadline_s)
        add_CandidateGenServiceServicer_to_server(servicer, server)

    compacting = asyncio.create_task(compact_deltas(holder))
    try:
        await serve_leaf(
            "candidate_gen", chosen, holder, feed, register, (SERVICE,), leaf.numbers, stop, listening, trend
        )
    finally:
        compacting.cancel()


if __name__ == "__main__":
    sys.exit(run(main))
