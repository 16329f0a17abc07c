"""Compacts the deltas of the bundles held, aside from the requests: they notice nothing but a shorter tail."""

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

from penchant.errors import UnknownBundle
from services.runtime.bundles import BundleHolder
from services.runtime.loaded import LoadedBundle
from services.runtime.logs import logger

_log = logger("compaction")


async def compact_deltas(holder: BundleHolder[LoadedBundle], every_s: float = 0.25) -> None:
    """Look at every bundle's delta again and again, until cancelled."""
    aside = ThreadPoolExecutor(1, "compaction")
    try:
        while True:
            await asyncio.sleep(every_s)
            for version in holder.versions:
                # A bundle may have been dropped while another's delta was compacted.
                with contextlib.suppress(UnknownBundle):
                    await _compact_if_due(holder.get(version), aside)
    finally:
        aside.shutdown(wait=False, cancel_futures=True)


async def _compact_if_due(bundle: LoadedBundle, aside: ThreadPoolExecutor) -> None:
    if bundle.retrieval is None or not bundle.retrieval.delta.due(bundle.table):
        return
    delta, table, started = bundle.retrieval.delta, bundle.table.view(), time.monotonic()
    try:
        await asyncio.get_running_loop().run_in_executor(aside, delta.compact, table)
    except Exception as error:
        _log.error("delta not compacted, it is searched exactly", bundle=bundle.version, error=repr(error))
        return
    _log.info(
        "delta compacted",
        bundle=bundle.version,
        items=delta.indexed,
        position=table.position,
        kind=delta.kind,
        seconds=round(time.monotonic() - started, 2),
    )
