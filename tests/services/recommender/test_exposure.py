"""The exposure log: what was shown, without anyone waiting."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.ids import key
from penchant.segments import SegmentWriter, read_segments
from penchant.v1 import log_pb2
from services.recommender.side_effects.exposure import ExposureLog, sampled
from services.recommender.wire import exposure_record


@pytest.fixture
def log(tmp_path: Path) -> ExposureLog:
    return ExposureLog(SegmentWriter(tmp_path, fsync=False), exposure_record)


async def shown(world: Any, log: ExposureLog, **fields: Any) -> Any:
    world.door.pipeline = world.door.pipeline.__class__(
        **{
            name: getattr(world.door.pipeline, name) for name in world.door.pipeline.__slots__ if name != "side_effects"
        },
        side_effects=[log],
    )
    return await world.door.recommend(world.query("ann", **fields), None)


async def test_a_slate_is_logged_with_what_it_was_made_of(world: Any, log: ExposureLog, tmp_path: Path) -> None:
    slate = await shown(world, log, placement_name="home", context={"country": "DE"}, return_features=True)
    await log.close()
    ((position, payload),) = list(read_segments(tmp_path))
    record = log_pb2.ExposureRecord.FromString(payload)
    assert position == 1
    assert (record.recommendation_id, record.user_key, record.placement) == ("r1", key("", "ann"), "home")
    assert np.frombuffer(record.item_keys, "<i8").tolist() == slate.keys.tolist()
    assert np.frombuffer(record.scores, "<f4").tolist() == slate.scores.tolist()
    assert np.frombuffer(record.propensities, "<f4").tolist() == [1.0] * 5
    assert np.frombuffer(record.features, "<f4").reshape(5, -1)[0, 0] == 20.0
    assert (record.bundle, record.policy, record.schema_fingerprint) == ("b1", "p1", "fingerprint")
    assert record.events_applied_through == 7
    assert dict(record.context) == {"country": "DE"}
    assert record.source_names[0] == "two_tower"


async def test_features_are_left_out_unless_sampled(world: Any, log: ExposureLog, tmp_path: Path) -> None:
    await shown(world, log)
    await log.close()
    ((_, payload),) = list(read_segments(tmp_path))
    assert log_pb2.ExposureRecord.FromString(payload).features == b""


async def test_a_full_queue_drops_and_counts(world: Any, log: ExposureLog) -> None:
    log.queue_length = 1
    for _ in range(3):
        await shown(world, log)
    assert log.dropped == 2
    await log.close()
    assert log.written == 1


async def test_a_broken_log_drops_and_counts_and_the_slate_comes(world: Any, log: ExposureLog) -> None:
    log.writer.close()
    assert len(await shown(world, log)) == 5
    await log.close()
    assert (log.written, log.dropped) == (0, 1)


def test_the_sample_is_decided_by_the_id() -> None:
    ids = [f"r{i}" for i in range(2000)]
    chosen = [i for i in ids if sampled(i, 0.1)]
    assert chosen == [i for i in ids if sampled(i, 0.1)]
    assert 140 < len(chosen) < 260
    assert not any(sampled(i, 0.0) for i in ids)
