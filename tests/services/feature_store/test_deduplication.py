"""Event ids are known for the horizon, and knowing them costs the same when it is full."""

import time

from store_world import event

from services.feature_store.deduplication import RecentEvents


def test_an_id_is_known_for_the_horizon_and_no_longer():
    recent = RecentEvents(3)
    for position in range(1, 6):
        recent.remember(event(event_id=f"e{position}"), position)
    assert [recent.position(event(event_id=f"e{n}")) for n in range(1, 7)] == [0, 0, 3, 4, 5, 0]
    assert len(recent) == 3


def test_a_full_horizon_costs_no_more_than_an_empty_one():
    count = 30_000
    recent = RecentEvents(count)
    events = [event(event_id=f"e{n}") for n in range(3 * count)]
    took = []
    for start in range(0, len(events), count):
        started = time.process_time()
        for n in range(start, start + count):
            recent.remember(events[n], n + 1)
        took.append(time.process_time() - started)
    assert took[-1] < 8 * took[0]
