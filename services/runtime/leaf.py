"""A leaf's process: bundles watched, items followed, one server."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import grpc

from services.runtime import logs
from services.runtime.bundles import BundleHolder
from services.runtime.channels import open_channel, token_metadata
from services.runtime.config import LeafSettings
from services.runtime.items import ItemFeed, watch_feature_store
from services.runtime.loaded import LoadedBundle
from services.runtime.readiness import PATIENCE_S, readiness
from services.runtime.server import serve
from services.runtime.status import StatusSnapshot
from services.runtime.trend import TrendFeed, watch_trend

_LOADING_S = 10.0
"""A bundle that takes longer is loaded while health already answers, NOT_SERVING: no probe takes it for dead."""


async def serve_leaf(
    name: str,
    settings: LeafSettings,
    holder: BundleHolder[LoadedBundle],
    feed: ItemFeed,
    register: Callable[[grpc.aio.Server], None],
    service_names: Sequence[str],
    numbers: Callable[[], Mapping[str, float]],
    stop: asyncio.Event | None = None,
    listening: Callable[[int], None] = lambda port: None,
    trend: TrendFeed | None = None,
) -> None:
    """Serve until told to stop; see readiness. The feature store may come later, or never.

    trend: kept in step with the feature store, where the leaf reads it.
    """
    logs.configure(settings.log_level, settings.log_format)

    def status() -> StatusSnapshot:
        return StatusSnapshot(
            bundle_versions=holder.versions,
            item_table_position=feed.position,
            metrics=numbers(),
            refused_bundle=holder.refused,
        )

    loading = asyncio.create_task(holder.start())
    await asyncio.wait({loading}, timeout=_LOADING_S)
    channel = open_channel(settings.feature_store, settings.feature_store_ca) if settings.feature_store else None
    metadata = token_metadata(settings.feature_store_token)
    following: list[asyncio.Task[None]] = []
    if channel is not None:
        following.append(asyncio.create_task(watch_feature_store(channel, feed, metadata)))
        if trend is not None:
            following.append(asyncio.create_task(watch_trend(channel, trend, metadata)))
    ready = readiness(lambda: holder.versions, feed, PATIENCE_S if following else 0.0)
    try:
        await serve(name, settings, register, status, ready, service_names, stop, listening)
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        if channel is not None:
            await channel.close()
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        await holder.stop()
