"""Ten kills in a running stack; `make storm` is the long one."""

from pathlib import Path

import pytest
from fault.killer import Card
from fault.storm import storm_round

CARDS = (
    Card("process", "writer"),
    Card("process", "recommender"),
    Card("redis", "empty"),
    Card("redis", "older"),
    Card("point", "unsynced_bytes_lost"),
    Card("point", "between_store_and_offset"),
    Card("point", "before_acknowledgement"),
    Card("recovery"),
)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_kills_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    done = storm_round(tmp_path, "separate", "file", seed="test", kills=10, cards=CARDS, pause_every=len(CARDS) // 2)
    assert done.violations == []
    assert done.kills.total() >= 10
    assert {process for process, _ in done.kills} == {"feature_store", "recommender", "redis"}
    assert done.counted["acknowledged"] > 100
    assert done.counted["reads"] > 10
