"""The served graph: the model's numbers for every network, and new weights without a new export."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
import torch
from toy_requests import CHOICES, RECIPE, item_features, known, moved, requests

from training.learning.graft import grafted_model, state_of
from training.ranking.export import CANDIDATE_INPUTS, export_ranker, feeds_of, ranker_feeds
from training.ranking.model import Outputs, RankerModel, task_scores
from training.ranking.recipe import RankingRecipe
from training.ranking.samples import Samples
from training.ranking.served import ServedRanker
from training.ranking.statistics import statistics_of
from training.ranking.train import TrainedRanker, logits_of

OUTPUTS = Outputs(*(np.array([x], np.float32) for x in (1.5, -0.5, 0.0, 1.0)), np.array([False]))


def served(model: RankerModel, samples: Samples) -> np.ndarray:
    """Scores of the first request."""
    feed = samples.inputs(0, np.arange(samples.rows.shape[1]), item_features())
    with torch.no_grad():
        ranker = ServedRanker(model, known(), OUTPUTS).eval()
        return ranker(**{name: torch.from_numpy(np.asarray(array)) for name, array in feed.items()}).numpy()


def sampled(length: int) -> Samples:
    """A request with so many events, and statistics as the graph computes them."""
    samples = requests(1, 5)
    samples.retrieval[:] = np.random.default_rng(0).normal(size=samples.retrieval.shape)
    samples.history_rows[0, : RECIPE.history - length] = 0
    if length:
        # Twice the candidate itself: the newer event is the one that counts as the last.
        samples.history_rows[0, -2:] = samples.rows[0, 0]
    feed = samples.inputs(0, np.arange(samples.rows.shape[1]), item_features())
    statistics = samples.statistics
    statistics.mean[0], statistics.spread[0], statistics.log_sums[0] = statistics_of(feed)
    return samples


@pytest.mark.parametrize("recipe", CHOICES.values(), ids=CHOICES.keys())
@pytest.mark.parametrize("length", [0, 5, 8])
def test_what_is_served_is_what_the_model_says(recipe: RankingRecipe, length: int) -> None:
    model, samples = moved(replace(recipe, members=2)), sampled(length)
    expected = task_scores(OUTPUTS, logits_of(model, samples, item_features()))[0]
    np.testing.assert_allclose(served(model, samples), expected, atol=2e-4, rtol=2e-4)


def test_numbers_stay_within_their_bounds() -> None:
    model, samples = moved(RECIPE), sampled(5)
    outputs = Outputs(*(np.array([x], np.float32) for x in (40.0, 3.0, 1.0, 5.0)), np.array([True]))
    feed = samples.inputs(0, np.arange(6), item_features())
    with torch.no_grad():
        ranker = ServedRanker(model, known(), outputs).eval()
        scores = ranker(**{name: torch.from_numpy(np.asarray(array)) for name, array in feed.items()}).numpy()
    expected = task_scores(outputs, logits_of(model, samples, item_features()))[0]
    np.testing.assert_allclose(scores, expected, atol=1e-3)
    assert ((scores[:, 1] >= 1.0) & (scores[:, 1] <= 5.0)).all()


@pytest.mark.parametrize("attention", ["target", "transformer"])
def test_a_graph_holds_its_weights_by_name_so_that_others_take_their_place(
    attention: Literal["target", "transformer"], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, attention=attention, members=2)
    old, new = moved(recipe), moved(recipe)
    with torch.no_grad():
        for parameter in new.parameters():
            parameter.mul_(1.1)
    feeds = feeds_of(requests(8, 0), item_features())
    tasks = ("engage", "click")
    spec = export_ranker(TrainedRanker(old, OUTPUTS, tasks, (), ()), known(), feeds, tmp_path, "old.onnx")
    modules = ServedRanker(old, known(), OUTPUTS), ServedRanker(new, known(), OUTPUTS)
    free = dict.fromkeys(CANDIDATE_INPUTS, "candidates")
    grafted_model(*modules, tmp_path / "old.onnx", spec, ranker_feeds(feeds), free, tmp_path / "new")
    before, after = (onnx.load(tmp_path / name) for name in ("old.onnx", "new/old.onnx"))
    # Exported anew the graph would be the same, but its file would not be the old one with other numbers.
    assert [node.name for node in before.graph.node] == [node.name for node in after.graph.node]
    if attention == "target":
        held = {tensor.name for tensor in before.graph.initializer}
        missing = {name for name in state_of(modules[0]) if name not in held}
        assert not missing, missing
