"""How long a call may still take."""

from typing import Any

import grpc


def seconds_left(context: grpc.aio.ServicerContext[Any, Any], default_s: float) -> float:
    """Seconds until the caller gives up; default_s for a caller that set no deadline."""
    left = context.time_remaining()
    return default_s if left is None else max(float(left), 0.0)
