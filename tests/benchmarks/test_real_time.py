"""Short forms of the real-time figures, on one stack: what must be nought is nought; times are only shown.

New items come last: they are in every bundle's answers from then on, and bear no version's mark.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from benchmarks import freshness, new_items, swaps, throughput
from benchmarks.stand import Stand, stand


@pytest.fixture(scope="module")
def running(tiny_bundles: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """One stack for all of them."""
    run = tmp_path_factory.mktemp("bench")
    with stand(argparse.Namespace(bundles=tiny_bundles[1], run=run)) as started:
        yield started


def measured(running: Stand, benchmark: Any, *arguments: str) -> dict[str, Any]:
    """Figures of a short form; the table and the plot are made too."""
    options = benchmark.options_of([*arguments, "--histories", "500", "--users", "60"])
    found = uvloop.run(benchmark.measure(running, options))
    assert benchmark.rows(found)
    assert (running.out / f"{benchmark.NAME}.png").stat().st_size > 1000
    return dict(found)


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
