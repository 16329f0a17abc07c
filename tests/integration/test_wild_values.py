"""Values that training never saw, through gRPC, against a bundle that was trained on ratings."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.client import Client
from penchant.writes import EventWrite

# The tiny data set rates up to 5 and gives its purchases no value.
AT_THE_BOUND = {"rating": 5.0, "purchase": None, "click": None}
AN_HOUR_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture(scope="module")
def client(start_stack: Any, new_redis: Callable[[], str], tiny_bundles: tuple[Path, Path]) -> Client:
    return start_stack("standalone", new_redis(), tiny_bundles[1]).client(deadline_s=30.0)


def scores_after(client: Client, user: str, values: dict[str, float | None]) -> dict[str, float]:
    """Every item's score for a new user who rated, bought and clicked."""
    events = [
        EventWrite(
            user_id=user, item_id=f"i{10 + i}", event_type=kind, value=value,
            event_time=AN_HOUR_AGO + timedelta(minutes=i),
        )
        for i, (kind, value) in enumerate(values.items())
    ]  # fmt: skip
    written = client.write_events(events)
    assert (written.accepted, written.rejections) == (len(events), ())
    as_of = AN_HOUR_AGO + timedelta(minutes=30)
    slate = client.recommend_items(1000, user_id=user, token=written.position, as_of=as_of)
    assert slate.degraded_stages == ()
    assert slate.token_satisfied
    return {item.item_id: item.score for item in slate.items}


@pytest.mark.parametrize("wild", [1e6, 1e12, 249.0])
def test_a_wild_value_moves_a_slate_no_further_than_the_bound_does(client: Client, wild: float) -> None:
    usual = scores_after(client, f"calm {wild}", AT_THE_BOUND)
    found = scores_after(client, f"wild {wild}", {"rating": wild, "purchase": wild, "click": wild})
    assert np.isfinite(list(found.values())).all()
    assert max(abs(score) for score in found.values()) < 100.0
    assert found == pytest.approx(usual, abs=1e-5)
