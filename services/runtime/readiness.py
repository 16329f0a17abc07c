"""When a process that answers from bundles may take calls."""

import time
from collections.abc import Callable, Sequence

from services.runtime.items import ItemFeed

PATIENCE_S = 3.0


def readiness(
    versions: Callable[[], Sequence[str]], feed: ItemFeed, patience_s: float = PATIENCE_S
) -> Callable[[], bool]:
    """Ready once a bundle is held and the feature store has told of the written items.

    Before it has, a deleted item would be shown. A feature store that is away holds nothing up for longer than
    patience_s: then the slates come without it.
    """
    started = time.monotonic()
    return lambda: bool(versions()) and (feed.synced or time.monotonic() - started > patience_s)
