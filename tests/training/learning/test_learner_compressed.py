"""A ranker that was made smaller: fit says what it cost and serves it, the learner goes on from it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from conftest import learned_on

from penchant.bundle import verify
from training.data.read import read_dataset
from training.evaluation.offline import open_bundle
from training.fit import LOSSES, fit
from training.learning.warm import Warm
from training.ranking.compression.int8 import TOLERANCE
from training.ranking.export import FLOAT_FILE
from training.recipes import resolve


def test_a_smaller_ranker_is_served_and_learned_on(tiny_data: Path, log: Path, tmp_path: Path) -> None:
    dataset = read_dataset(tiny_data)
    tiny = resolve("tiny", dataset)
    ranking = replace(tiny.ranking, compress=True, members=2, epochs=1, student_epochs=1, most_lost=1.0)
    bundles = tmp_path / "bundles"
    first = fit(dataset, replace(tiny, ranking=ranking), bundles, seed=0, protocol="time-split").folder
    manifest = verify(first)
    told = manifest.metrics["compression"]
    assert told["taken"] == "distilled and pruned, int8"
    assert told["tried"][0]["form"] == "as trained"
    assert manifest.models["ranker"].tolerance == TOLERANCE
    assert FLOAT_FILE in manifest.files
    assert manifest.recipe["ranking"]["members"] == 2
    assert manifest.recipe["served_ranking"]["members"] == 1
    trainings = {json.loads(line)["training"] for line in (first / LOSSES).read_text().splitlines()}
    assert {"ranker, member 1", "ranker, member 2", "ranker, distilled and pruned, int8"} <= trainings

    published = learned_on(log, bundles, tiny_data)
    assert verify(published).models["ranker"].tolerance == TOLERANCE
    assert open_bundle(published).ranker is not None
    was, now = Warm.read(first).ranker.members, Warm.read(published).ranker.members
    assert was.keys() == now.keys()
    assert 0 < max(np.abs(was[name] - now[name]).max() for name in was) < 0.1
