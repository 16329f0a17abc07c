"""Equal contents, equal digest."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from training.data.dataset import Dataset
from training.data.read import read_dataset
from training.fingerprint import fingerprint
from training.recipes import resolve


def test_a_data_set_read_twice_has_one_and_another_event_another(tiny_data: Path) -> None:
    dataset, again = read_dataset(tiny_data), read_dataset(tiny_data)
    assert fingerprint(dataset) == fingerprint(again)
    assert fingerprint(_with_a_later_last_event(dataset)) != fingerprint(dataset)
    assert fingerprint(replace(dataset, item_ids=[*dataset.item_ids[:-1], "other"])) != fingerprint(dataset)


def test_recipe_seed_and_protocol_count(tiny_data: Path) -> None:
    dataset = read_dataset(tiny_data)
    tiny = resolve("tiny", dataset)
    other = replace(tiny, ranking=replace(tiny.ranking, epochs=4))
    found = {
        fingerprint(tiny, 0, "none"), fingerprint(other, 0, "none"), fingerprint(tiny, 1, "none"),
        fingerprint(tiny, 0, "time-split"),
    }  # fmt: skip
    assert len(found) == 4


def test_neighbouring_values_do_not_run_into_one_another() -> None:
    assert fingerprint(["ab", "c"]) != fingerprint(["a", "bc"])
    assert fingerprint(["a"], ["b"]) != fingerprint(["a", "b"], [])
    assert fingerprint(np.zeros(2, np.int32)) != fingerprint(np.zeros(1, np.int64))


def _with_a_later_last_event(dataset: Dataset) -> Dataset:
    times = dataset.events.times.copy()
    times[-1] += 1
    return replace(dataset, events=replace(dataset.events, times=times))
