"""Short forms of the real-time figures, on one stack: what must be nought is nought; times are only shown.

New items come last: they are in every bundle's answers from then on, and bear no version's mark.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from benchmarks import freshness, new_items, slates, swaps, throughput
from benchmarks.door import Door
from benchmarks.floor import Features, Floor
from benchmarks.stand import Stand, stand
from penchant.features.plan import Plan
from penchant.ids import key


@pytest.fixture(scope="module")
def running(tiny_bundles: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """One stack for all of them."""
    run = tmp_path_factory.mktemp("bench")
    with stand(argparse.Namespace(bundles=tiny_bundles[1], run=run)) as started:
        yield started


def measured(running: Stand, benchmark: Any, *arguments: str) -> dict[str, Any]:
    """Figures of a short form; the table and the plot are made too."""
    more = [] if benchmark is slates else ["--histories", "500"]
    options = benchmark.options_of([*arguments, *more, "--users", "60"])
    found = uvloop.run(benchmark.measure(running, options))
    assert benchmark.rows(found)
    assert (running.out / f"{benchmark.NAME}.png").stat().st_size > 1000
    return dict(found)


@pytest.fixture(scope="module")
def of_slates(running: Stand) -> dict[str, Any]:
    """Figures of slates; its users stay in the store. Bundles that are swapped later mark what they show."""
    return measured(running, slates, "--warm", "0.5", "--peak-s", "1", "--window-s", "1", "--windows", "2",
                    "--floor-slates", "60", "--history", "10", "--rate", "20")  # fmt: skip


def test_a_slate_s_cost_stands_beside_that_of_the_very_same_work_alone(of_slates: dict[str, Any]) -> None:
    found = of_slates
    assert found["peak_closed_loop"]["cpu_ms_a_slate"]["standalone"] > 0
    assert found["floor"]["cpu_ms_a_slate"] > 0
    assert found["ratio"] > 0
    assert found["peak_closed_loop"]["failures"] == {}
    assert [window["failed"] for window in found["open_loop"]["windows"]] == [0, 0]
    assert found["events_failed"] == 0


@pytest.mark.usefixtures("of_slates")
async def test_the_floor_shows_what_the_front_door_shows(running: Stand) -> None:
    floor = Floor(running.bundle, Features(Plan.read(running.layout.plan), running.redis_url))
    ids_of_rows = json.loads((running.bundle / "items" / "ids.json").read_text())
    shared = []
    async with Door(running.address) as door:
        for number in range(20):
            answer = await door.slate(f"bench-{number}", 10, placement="diverse")
            served = {item.item_id for item in answer.items}
            alone = floor.slate(key("", f"bench-{number}"), time.time_ns() // 1000, 10)
            shared.append(len(served & {ids_of_rows[row] for row in alone.tolist()}) / len(served))
    assert sum(shared) / len(shared) > 0.8


def test_every_answer_after_an_acknowledgement_knows_of_the_event(running: Stand) -> None:
    found = measured(running, freshness, "--seconds", "3", "--warm", "1", "--event-rate", "40", "--slate-rate", "20",
                     "--follow-ups", "10")  # fmt: skip
    assert found["freshness_ms"]["count"] > 10
    assert found["never_covered"] == found["token_unsatisfied"] == found["slates_holding_a_hidden_item"] == 0
    assert found["tokens"] > 0
    assert found["slates_after_a_hide"] > 0
    assert found["slate_ms"]["failed"] == found["event_calls"]["failed"] == 0


def test_events_in_batches_are_applied_when_they_are_acknowledged(running: Stand) -> None:
    found = measured(running, throughput, "--events", "2000", "--rate", "1000", "--peak-s", "1")
    assert found["events"] > 1000
    assert found["lag_ms"]["failed"] == found["acknowledged_before_applied"] == 0
    assert found["backlog_after_2_s"] == 0
    assert found["unapplied_after_2_s"] <= 0
    assert found["cpu_us_per_event"]["standalone"] > 0


def test_every_answer_is_of_one_version_while_bundles_are_swapped_and_rolled_back(running: Stand) -> None:
    found = measured(running, swaps, "--swaps", "3", "--rollbacks", "1", "--hold", "0.3", "--slate-rate", "20")
    assert found["mixed"] == []
    assert found["slate_ms"]["failed"] == found["refused"] == 0
    # In a catalogue of 80 items someone has seen all of them.
    assert set(found["degraded"]) <= {"filter_seen:nothing unseen is left"}
    assert found["versions_that_answered"] >= 3


def test_new_items_are_retrieved_for_who_likes_their_kind_and_deleted_ones_for_nobody(running: Stand) -> None:
    found = measured(running, new_items, "--probes", "6", "--inserts", "200", "--deletes", "100", "--queries", "10",
                     "--slate-rate", "10")  # fmt: skip
    assert found["retrieved_ms"]["count"] == 6
    assert found["never_retrieved"] == found["failed"] == found["deleted_items_shown"] == 0
    assert (found["inserts"], found["deletes"]) == (206, 100)
    assert found["recall_at_100"]["mean"] >= 0.98
