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
from training.evaluation.heads import head_quality, judged_rows
from training.evaluation.offline import OpenBundle, chunks, inputs_of, open_bundle, queries, user_vectors
from training.evaluation.protocol import target_set
from training.ranking.recipe import RankingRecipe
from training.ranking.samples import Stage, collect
from training.ranking.tasks import outcomes, tasks_of


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
    untold = replace(dataset, tasks={})
    assert judged((untold, bundle)) == {
        "slates": judged(tiny)["slates"], "tasks": {},
        "left_out": {"tasks": "the data set names none that the bundle predicts"},
    }  # fmt: skip
    without = replace(bundle, ranker=None)
    assert set(judged((dataset, without))["left_out"].values()) == {"the bundle holds no ranker"}


def test_the_scores_are_those_that_the_same_user_is_served(tiny: tuple[Dataset, OpenBundle]) -> None:
    dataset, bundle = tiny
    silent = replace(dataset, events=replace(dataset.events, texts=None))
    cut = split(silent, "time-split")
    targets = target_set(silent, cut)
    tasks = [task for task in tasks_of(silent) if task.name == "like"]
    stage = Stage(bundle.schema, bundle.table, bundle.retrieval, bundle.tower)
    everything = np.ones(len(silent.events), np.bool_)
    samples = collect(silent, stage, targets.events, [], everything, tasks, RankingRecipe(), True, 0)
    rows = judged_rows(bundle, samples, silent, tasks)
    served = []
    target_rows = bundle.table.rows_of(targets.item_keys)
    for chunk in chunks(queries(bundle, silent, targets)):
        for query, vector in zip(chunk, user_vectors(bundle, chunk), strict=True):
            mask = query.allowed["masked"]
            candidates, _ = bundle.retrieval.retrieve(query.history_rows, mask, 500, user_vector=vector)
            scores = bundle.ranker(inputs_of(bundle, query, candidates)) if bundle.ranker else np.empty((0, 0))
            mine = scores[candidates.rows == target_rows[query.place]]
            served.append(float(mine[0, bundle.manifest.tasks.index("like")]) if len(mine) else np.nan)
    given = np.array([not np.isnan(o) for o in outcomes(silent, tasks[0], targets.events, everything)])
    expected = np.array(served)[given]
    np.testing.assert_allclose(rows.heads[:, 0], expected[~np.isnan(expected)], rtol=1e-4)
