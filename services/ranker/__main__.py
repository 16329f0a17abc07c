"""python -m services.ranker"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import grpc

from penchant.bundle import Manifest
from penchant.v1.ranker_service_pb2_grpc import add_RankerServiceServicer_to_server
from services.ranker.config import RankerSettings
from services.ranker.leaf import Ranker
from services.ranker.server import SERVICE, RankerServicer
from services.runtime.bundles import BundleHolder
from services.runtime.config import load
from services.runtime.items import ItemFeed
from services.runtime.leaf import serve_leaf
from services.runtime.loaded import LoadedBundle, load_bundle
from services.runtime.server import run


async def main(
    settings: RankerSettings | None = None,
    stop: asyncio.Event | None = None,
    listening: Callable[[int], None] = lambda port: None,
) -> None:
    """Serve until told to stop; without settings, those of penchant.toml and the environment."""
    chosen = settings or load("ranker", RankerSettings)
    feed = ItemFeed()

    def open_bundle(folder: Path, manifest: Manifest) -> LoadedBundle:
        bundle = load_bundle(folder, manifest, retrieval=False)
        feed.attach(bundle.table, bundle.embed)
        return bundle

    holder = BundleHolder(chosen.bundles, open_bundle, chosen.bundle_poll_s)
    leaf = Ranker(holder)

    def register(server: grpc.aio.Server) -> None:
        servicer = RankerServicer(leaf, chosen.default_deadline_s)
        add_RankerServiceServicer_to_server(servicer, server)

    await serve_leaf("ranker", chosen, holder, feed, register, (SERVICE,), leaf.numbers, stop, listening)


if __name__ == "__main__":
    sys.exit(run(main))
