"""How long a call may still take."""

from typing import Any

import grpc

LEAST_S = 0.001


def seconds_left(context: grpc.aio.ServicerContext[Any, Any], default_s: float) -> float:
    """Seconds until the caller gives up; default_s without a deadline. Never 0, which grpc.aio takes as no limit."""
    left = context.time_remaining()
    return default_s if left is None else max(float(left), LEAST_S)
