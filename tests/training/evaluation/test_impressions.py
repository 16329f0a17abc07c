"""What was shown, from the logs of a running stack."""

from pathlib import Path

import numpy as np
import pytest

from penchant.errors import ConfigError
from penchant.event_log import open_event_log
from penchant.ids import key
from penchant.v1 import event_pb2, log_pb2
from training.evaluation.behaviour import served_behaviour
from training.evaluation.impressions import served_impressions

START_US = 1_770_000_000_000_000


def event(user: str, item: str, kind: str, at_s: float, recommendation_id: str = "", evaluation: bool = False) -> bytes:
    message = event_pb2.Event(
        user_id=user, item_id=item, event_type=kind, recommendation_id=recommendation_id,
        context={"evaluation": "x"} if evaluation else {},
    )  # fmt: skip
    message.event_time.FromMicroseconds(START_US + int(at_s * 1e6))
    record = log_pb2.LogRecord(schema_version=1, event=message)
    record.ingest_time.CopyFrom(message.event_time)
    return record.SerializeToString()


def slate(user: str, items: list[str], recommendation_id: str, evaluation: bool = False) -> bytes:
    keys = np.array([key("", item) for item in items], "<i8")
    return log_pb2.ExposureRecord(
        schema_version=1, recommendation_id=recommendation_id, user_key=key("", user), as_of_us=START_US,
        item_keys=keys.tobytes(), scores=np.zeros(len(items), "<f4").tobytes(),
        context={"evaluation": "x"} if evaluation else {},
    ).SerializeToString()  # fmt: skip


def write(folder: Path, name: str, records: list[bytes]) -> None:
    log = open_event_log(str(folder), name)
    try:
        log.append(records)
    finally:
        log.close()


@pytest.fixture
def logs(tmp_path: Path) -> tuple[str, Path]:
    """Two slates of ann's, one of a stranger to the event log, one of an evaluation; ann clicks and buys."""
    write(tmp_path / "log", "events", [
        event("ann", "b", "click", 5, "r1"), event("ann", "b", "purchase", 9, "r1"),
        event("ann", "c", "click", 20), event("bob", "z", "click", 30, "r2"), event("ann", "a", "click", 31, "r9"),
    ])  # fmt: skip
    write(tmp_path, "exposures", [
        slate("ann", ["a", "b", "c"], "r1"), slate("ann", ["b", "d"], "r2"), slate("eve", ["a"], "r3"),
        slate("ann", ["a", "b"], "r9", evaluation=True),
    ])  # fmt: skip
    return str(tmp_path / "log"), tmp_path / "exposures"


def test_an_act_counts_for_the_slate_whose_id_it_echoes_and_slates_without_acts_count(logs: tuple[str, Path]) -> None:
    dataset, shown = served_impressions(*logs)
    assert shown is not None
    assert len(shown) == 6
    assert shown.positions.tolist() == [0, 1, 2, 0, 1, 0]
    assert np.flatnonzero(shown.clicked).tolist() == [1]
    assert np.flatnonzero(shown.purchased).tolist() == [1]
    assert [dataset.user_ids[u] if u >= 0 else None for u in shown.users.tolist()] == [*["ann"] * 5, None]
    found = served_behaviour(*logs, seed=0)
    assert found is not None
    assert found["of"] == logs[0]
    assert (found["ctr"]["positives"], found["ctr"]["count"]) == (1, 6)
    assert (found["slates_clicked"]["positives"], found["slates_clicked"]["count"]) == (1, 3)


def test_a_folder_that_is_not_there_is_an_error_and_an_empty_log_is_not(tmp_path: Path, logs: tuple[str, Path]) -> None:
    with pytest.raises(ConfigError, match="is no folder: name the exposure log"):
        served_impressions(logs[0], tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert served_impressions(logs[0], tmp_path / "empty")[1] is None
    assert served_behaviour(None, None, 0) is None


def test_slates_before_anybody_did_anything_are_impressions_without_a_rate(tmp_path: Path) -> None:
    write(tmp_path / "log", "events", [])
    write(tmp_path, "exposures", [slate("ann", ["a", "b"], "r1")])
    found = served_behaviour(str(tmp_path / "log"), tmp_path / "exposures", 0)
    assert found is not None
    assert (found["impressions"], found["ctr"]) == (2, None)
    assert found["left_out"]["ctr"] == "no act of anybody was logged"
