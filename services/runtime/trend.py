"""What is trending, as the feature store tells it: held beside the bundles, read by whoever proposes popular items."""

import asyncio

import grpc
import numpy as np

from penchant.trend import TrendSnapshot
from penchant.v1 import feature_store_service_pb2 as messages
from penchant.v1 import feature_store_service_pb2_grpc as rpc
from services.runtime.channels import Metadata
from services.runtime.logs import logger
from services.runtime.wire import unpack

_log = logger("trend")
_RETRY_S = 2.0


class TrendFeed:
    """Holds the newest snapshot; without one nothing is trending, and the bundle's trend stands alone."""

    def __init__(self) -> None:
        self.now = TrendSnapshot()


async def watch_trend(channel: grpc.aio.Channel, feed: TrendFeed, metadata: Metadata = ()) -> None:
    """Keep the feed in step with the feature store until cancelled; while it is away the last snapshot ages."""
    stub = rpc.FeatureStoreServiceStub(channel)
    while True:
        try:
            async for told in stub.WatchTrend(messages.WatchTrendRequest(), metadata=metadata, wait_for_ready=True):
                keys = unpack(told.item_keys, np.int64, "item_keys")
                weights = unpack(told.weights, np.float32, "weights")
                if len(keys) == len(weights):
                    feed.now = TrendSnapshot(told.as_of_us, keys, weights)
        except grpc.aio.AioRpcError as error:
            _log.warning("the trend is not followed, trying again", code=error.code().name, reason=error.details())
        except Exception as error:
            _log.error("the trend is not followed, trying again", error=repr(error), exc_info=error)
        await asyncio.sleep(_RETRY_S)
