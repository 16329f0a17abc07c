"""Each task's score against what came of it, with a bundle that was really trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.bundle import current
from training.data.dataset import Dataset
from training.data.read import read_dataset
from training.data.split import split
from training.evaluation.heads import head_quality
from training.evaluation.offline import OpenBundle, open_bundle
from training.evaluation.protocol import target_set


@pytest.fixture(scope="module")
def tiny(tiny_bundles: tuple[Path, Path]) -> tuple[Dataset, OpenBundle]:
    folder = current(tiny_bundles[1])
    assert folder is not None
    return read_dataset(tiny_bundles[0]), open_bundle(folder)


def judged(tiny: tuple[Dataset, OpenBundle], protocol: str = "time-split", most: int = 1000) -> dict[str, Any]:
    dataset, bundle = tiny
    cut = split(dataset, protocol)
    return head_quality(bundle, dataset, cut, target_set(dataset, cut), most, 500, 0)


def test_acts_are_judged_on_held_out_slates_and_values_on_held_out_events(tiny: tuple[Dataset, OpenBundle]) -> None:
    found = judged(tiny)
    dataset, cut = tiny[0], split(tiny[0], "time-split")
    assert set(found["tasks"]) == {"click", "purchase", "like"}
    assert found["left_out"] == {"rating": "a number, not a yes or no"}
    assert dataset.events.impressions is not None
    shown = int(dataset.events.impressions[cut.held_out].sum())
    for task in ("click", "purchase"):
        assert 0.5 * shown < found["tasks"][task]["rows"] <= shown
    assert found["tasks"]["like"]["rows"] < len(cut.test)
    assert found["tasks"]["purchase"]["positives"] < found["tasks"]["click"]["positives"]


def test_a_trained_head_tells_clicks_from_what_was_passed_over(tiny: tuple[Dataset, OpenBundle]) -> None:
    click = judged(tiny)["tasks"]["click"]
    ranker, slate = click["systems"]["ranker"], click["systems"]["slate"]
    assert ranker["auc"] > 0.6
    assert 0.0 < ranker["log_loss"] < 2 * click["base_log_loss"]
    assert 0.0 <= ranker["ece"] <= 1.0
    assert slate["log_loss"] is None
    assert sum(row[2] for row in click["reliability"]) == click["rows"]
    low, high = click["differences"]["ranker_minus_retrieval"]["interval"]
    assert low <= click["differences"]["ranker_minus_retrieval"]["gauc"] <= high


def test_fewer_slates_are_a_sample_and_the_same_each_time(tiny: tuple[Dataset, OpenBundle]) -> None:
    some = judged(tiny, most=40)
    assert some["slates"] == 40
    assert some == judged(tiny, most=40)


def test_what_cannot_be_judged_says_why(tiny: tuple[Dataset, OpenBundle]) -> None:
    found = judged(tiny, "leave-one-out")
    assert "fitted with --hold-out time-split" in found["left_out"]["click"]
    dataset, bundle = tiny
    dislikes_all = dataset.events.values.copy()
    dislikes_all[~np.isnan(dislikes_all)] = 1.0
    flat = replace(dataset, events=replace(dataset.events, values=dislikes_all))
    assert "it takes both kinds" in judged((flat, bundle))["left_out"]["like"]
    shown = replace(dataset, events=replace(dataset.events, impressions=None))
    assert judged((shown, bundle))["left_out"]["click"] == "the data does not tell what was shown"
    without = replace(bundle, ranker=None)
    assert set(judged((dataset, without))["left_out"].values()) == {"the bundle holds no ranker"}
