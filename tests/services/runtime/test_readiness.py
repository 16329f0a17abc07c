"""A process takes calls once it knows what may be shown."""

from penchant.item_table import ItemChange
from services.runtime.items import ItemFeed
from services.runtime.readiness import readiness


def test_a_bundle_alone_is_not_enough_while_the_feature_store_is_awaited() -> None:
    feed, versions = ItemFeed(), ["b1"]
    ready = readiness(lambda: versions, feed, 60.0)
    assert not ready()
    feed.apply([], snapshot=True)
    assert ready()
    versions.clear()
    assert not ready()


def test_changes_count_as_word_from_the_store() -> None:
    feed = ItemFeed()
    ready = readiness(lambda: ["b1"], feed, 60.0)
    feed.apply([ItemChange(1, 7, "seven")])
    assert ready()


def test_a_store_that_is_away_holds_nothing_up_for_long() -> None:
    assert readiness(lambda: ["b1"], ItemFeed(), -1.0)()
