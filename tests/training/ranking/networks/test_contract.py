"""What holds for every network that a recipe may choose."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_requests import CHOICES, RECIPE, item_features, known, moved, requests, trained

from penchant.sessions import open_session
from training.ranking.export import export_ranker, feeds_of
from training.ranking.model import Batch, RankerModel
from training.ranking.recipe import RankingRecipe
from training.ranking.samples import Samples
from training.ranking.train import batch_of, logits_of

_CANDIDATES = ("rows", "dense")
every_network = pytest.mark.parametrize("recipe", CHOICES.values(), ids=CHOICES.keys())
# Neither is served otherwise than one of the others: an effect of places is not exported.
_SERVED = {name: recipe for name, recipe in CHOICES.items() if name not in ("examined", "neumf without history")}


def _batch(samples: Samples) -> Batch:
    return batch_of(samples, item_features(), np.arange(len(samples)))


def _logits(model: RankerModel, batch: Batch) -> np.ndarray:
    with torch.no_grad():
        return model(batch).numpy()


def _right(model: RankerModel, samples: Samples) -> float:
    """Share of the requests whose chosen candidate comes first."""
    return float((logits_of(model, samples, item_features())[..., 0].argmax(axis=1) == samples.chosen).mean())


@every_network
def test_a_candidate_s_score_does_not_depend_on_the_others(recipe: RankingRecipe) -> None:
    model, batch = moved(recipe), _batch(requests(5, 0))
    others = replace(batch, rows=batch.rows.clone(), dense=batch.dense.clone())
    others.rows[:, 1:] = 7
    others.dense[:, 1:] = 3.0
    one, other = _logits(model, batch), _logits(model, others)
    np.testing.assert_allclose(one[:, 0], other[:, 0], atol=1e-5)
    assert np.abs(one[:, 1:] - other[:, 1:]).max() > 1e-3


@every_network
def test_padding_before_the_history_changes_nothing(recipe: RankingRecipe) -> None:
    """One place of it stays: target attention's largest affinity is 0 at least unless the history is full."""
    samples = requests(6, 0)
    samples.history_rows[:, :5] = 0
    model, padded = moved(recipe), _batch(samples)
    # What stands in the padding's other columns is not read.
    padded.history_types[:, :5] = 3
    padded.history_signals[:, :5] = 9.0
    short = replace(
        padded, history_rows=padded.history_rows[:, 4:], history_types=padded.history_types[:, 4:],
        history_signals=padded.history_signals[:, 4:],
    )  # fmt: skip
    np.testing.assert_allclose(_logits(model, padded), _logits(model, short), atol=1e-5)


@every_network
def test_a_user_read_once_is_the_user_read_for_each_candidate(recipe: RankingRecipe) -> None:
    model, batch = moved(recipe), _batch(requests(1, 0))
    count = batch.rows.shape[1]
    names = Batch.__dataclass_fields__
    repeated = Batch(
        **{
            name: (
                getattr(batch, name).transpose(0, 1)
                if name in _CANDIDATES
                else getattr(batch, name).expand(count, *getattr(batch, name).shape[1:])
            )
            for name in names
        }
    )
    np.testing.assert_allclose(_logits(model, batch)[0], _logits(model, repeated)[:, 0], atol=1e-5)


@every_network
def test_a_stranger_without_history_is_scored(recipe: RankingRecipe) -> None:
    samples = requests(3, 0)
    samples.history_rows[:] = 0
    assert np.isfinite(_logits(moved(recipe), _batch(samples))).all()


@every_network
def test_it_learns_which_users_take_which_items(recipe: RankingRecipe) -> None:
    found = trained(recipe, requests(500, 0, "user"), requests(100, 1, "user"))
    assert _right(found.model, requests(200, 2, "user")) > 0.8


@pytest.mark.parametrize("attention", ["target", "din", "transformer", "none"])
def test_attention_learns_from_the_history_and_none_cannot(attention: str) -> None:
    recipe = replace(RECIPE, attention=attention)
    right = _right(trained(recipe, requests(500, 0), requests(100, 1)).model, requests(200, 2))
    assert right < 0.4 if attention == "none" else right > 0.8


@every_network
def test_equal_seeds_give_equal_weights_and_others_do_not(recipe: RankingRecipe) -> None:
    short = replace(recipe, epochs=1, members=2)
    train, valid = requests(96, 0), requests(32, 1)
    one, same, other = (trained(short, train, valid, seed).model.state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("recipe", _SERVED.values(), ids=_SERVED.keys())
def test_what_is_served_is_what_was_trained(recipe: RankingRecipe, tmp_path: Path) -> None:
    """export_ranker refuses what differs; a place on a slate is not among what is served."""
    short = replace(recipe, epochs=1)
    samples = requests(64, 0)
    found = trained(short, samples, requests(32, 1))
    feeds = feeds_of(samples, item_features())
    spec = export_ranker(found, known(), feeds, tmp_path, "ranker.onnx")
    assert "positions" not in {tensor.name for tensor in spec.inputs}
    scores = open_session(tmp_path, spec)(feeds[0])
    assert scores.shape == (len(feeds[0]["rows"]), 2)
    assert ((scores[:, 1] > 0) & (scores[:, 1] < 1)).all()
