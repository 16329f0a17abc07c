"""The ranker: starts at retrieval's order, learns to beat it, serves what was trained, never gives a non-number."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from penchant.sessions import open_session
from training.evaluation.metrics import ndcg
from training.ranking.export import export_ranker, feeds_of
from training.ranking.known import ItemKnowledge
from training.ranking.losses import listwise
from training.ranking.model import RankerModel, task_scores
from training.ranking.samples import Samples, collect
from training.ranking.served import ServedRanker
from training.ranking.statistics import statistics_of
from training.ranking.tasks import tasks_of
from training.ranking.train import TrainedRanker, logits_of, platt, scale_of, train_ranker
from training.ranking.trees import fit_trees
from training.ranking.weights import choose_weights, ranks_of

if TYPE_CHECKING:
    from tests.training.ranking.conftest import Tiny


@pytest.fixture(scope="module")
def samples(tiny: "Tiny") -> tuple[Samples, Samples]:
    tasks = tasks_of(tiny.dataset)
    held = tiny.held
    arguments = (tiny.allowed, tasks, tiny.recipe)
    return (
        collect(tiny.dataset, tiny.stage, held.train, held.slates_train, *arguments, False, 0),
        collect(tiny.dataset, tiny.stage, held.valid, held.slates_valid, *arguments, True, 0),
    )


@pytest.fixture(scope="module")
def trained(tiny: "Tiny", samples: tuple[Samples, Samples]) -> TrainedRanker:
    known = ItemKnowledge.of(tiny.first).vectors(tiny.first.catalogue)
    features = tiny.stage.table.features.base
    return train_ranker(
        *samples, features, known, tiny.stage.schema, tasks_of(tiny.dataset), tiny.recipe, 0
    )  # fmt: skip


def test_untrained_it_keeps_the_order_of_retrieval(tiny: "Tiny", samples: tuple[Samples, Samples]) -> None:
    train, valid = samples
    known = ItemKnowledge.of(tiny.first).vectors(tiny.first.catalogue)
    features = tiny.stage.table.features.base
    model = RankerModel(tiny.recipe, tiny.stage.schema, known, scale_of(train, features), 4, 0)
    engage = logits_of(model, valid, features)[..., 0]
    for scores, weights in zip(engage, valid.weights, strict=True):
        used = scores[weights > 0]
        assert (np.diff(used) <= 1e-6).all()


def test_trained_it_beats_the_order_of_retrieval_on_what_it_has_not_seen(
    tiny: "Tiny", samples: tuple[Samples, Samples], trained: TrainedRanker
) -> None:
    valid = samples[1]
    engage = logits_of(trained.model, valid, tiny.stage.table.features.base)[..., 0]
    asked = valid.chosen >= 0
    places = -np.arange(engage.shape[1], dtype=np.float32)[None].repeat(len(engage), axis=0)
    ranked = ndcg(ranks_of(engage, valid.weights, valid.chosen), 10)[asked]
    retrieved = ndcg(ranks_of(places, valid.weights, valid.chosen), 10)[asked]
    assert ranked.mean() > retrieved.mean() - 0.01


def test_the_graph_standardises_as_the_samples_were(
    tiny: "Tiny", samples: tuple[Samples, Samples], trained: TrainedRanker
) -> None:
    """Statistics kept with the samples and those the served graph computes give the same scores."""
    valid, features = samples[1], tiny.stage.table.features.base
    known = ItemKnowledge.of(tiny.first).vectors(tiny.first.catalogue)
    served = ServedRanker(trained.model, known, trained.outputs).eval()
    expected = task_scores(trained.outputs, logits_of(trained.model, valid, features))
    feeds = feeds_of(valid, features, candidates=10_000)
    able = np.flatnonzero((valid.weights > 0).sum(axis=1) >= 2)
    chosen = able[np.unique(np.linspace(0, len(able) - 1, 6).astype(np.int64))]
    for i, feed in zip(chosen, feeds, strict=False):
        with torch.no_grad():
            found = served(**{name: torch.from_numpy(np.asarray(a)) for name, a in feed.items()}).numpy()
        np.testing.assert_allclose(found, expected[i][valid.weights[i] > 0], atol=2e-3)


def test_a_candidate_alone_and_broken_features_still_get_finite_scores(
    tiny: "Tiny", samples: tuple[Samples, Samples], trained: TrainedRanker, tmp_path: Path
) -> None:
    features = tiny.stage.table.features.base
    known = ItemKnowledge.of(tiny.first).vectors(tiny.first.catalogue)
    feeds = feeds_of(samples[1], features)
    spec = export_ranker(trained, known, feeds, tmp_path, "ranker/ranker.onnx")
    session = open_session(tmp_path, spec)
    broken = {name: np.array(array) for name, array in feeds[0].items()}
    broken["item_dense"][0, :] = np.nan
    broken["retrieval"][1, 0] = np.inf
    broken["user_dense"][0, 0] = -np.inf
    assert np.isfinite(session(broken)).all()
    alone = session(feeds[-1])
    assert alone.shape == (1, 5)
    names = ("engage", *(task.name for task in tasks_of(tiny.dataset)))
    assert trained.tasks == names
    scores = session(feeds[0])
    for name in ("click", "purchase", "like"):
        assert ((scores[:, names.index(name)] >= 0) & (scores[:, names.index(name)] <= 1)).all()
    assert ((scores[:, names.index("rating")] >= 0.5) & (scores[:, names.index("rating")] <= 5)).all()


def test_candidates_do_not_depend_on_their_order(
    tiny: "Tiny", samples: tuple[Samples, Samples], trained: TrainedRanker
) -> None:
    known = ItemKnowledge.of(tiny.first).vectors(tiny.first.catalogue)
    served = ServedRanker(trained.model, known, trained.outputs).eval()
    feed = feeds_of(samples[1], tiny.stage.table.features.base)[0]
    turned = {
        n: a[::-1].copy() if n in ("rows", "item_dense", "retrieval", "pair_dense") else a for n, a in feed.items()
    }
    with torch.no_grad():
        one, other = (served(**{n: torch.from_numpy(np.asarray(a)) for n, a in f.items()}) for f in (feed, turned))
    np.testing.assert_allclose(one.numpy(), other.numpy()[::-1], atol=1e-4)


def test_item_knowledge_goes_by_key_and_new_items_by_content(tiny: "Tiny") -> None:
    knowledge = ItemKnowledge.of(tiny.first)
    catalogue = tiny.first.catalogue
    vectors = knowledge.vectors(catalogue)
    assert vectors.shape[0] == catalogue.count + 1
    assert not vectors[0].any()
    assert np.isfinite(vectors).all()


def test_trees_are_exported_as_they_predict(tiny: "Tiny", samples: tuple[Samples, Samples], tmp_path: Path) -> None:
    spec = fit_trees(samples[0], tiny.stage.table.features.base, tiny.recipe, 0, tmp_path, "ranker/trees.onnx")
    assert spec is not None
    assert spec.outputs[0].shape == (-1, 1)
    open_session(tmp_path, spec)


def test_listwise_counts_a_candidate_as_often_as_it_stands_for() -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0, 5.0]])
    weights = torch.tensor([[1.0, 3.0, 1.0, 0.0]])
    expected = np.log(np.exp(1.0) + 3 * np.exp(0.0) + np.exp(-1.0)) - 1.0
    assert float(listwise(logits, weights, torch.tensor([0]))) == pytest.approx(expected, rel=1e-5)


def test_platt_mends_overconfidence_and_leaves_a_handful_alone() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=5000).astype(np.float32)
    labels = (rng.random(5000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))).astype(np.float32)
    slope, offset = platt(logits, labels, np.ones(5000, np.float32))
    assert slope == pytest.approx(0.5, abs=0.1)
    assert offset == pytest.approx(-1.0, abs=0.1)
    assert platt(logits[:5], labels[:5], np.ones(5, np.float32)) == (1.0, 0.0)


def test_a_task_weighs_only_if_it_helps_beyond_chance() -> None:
    rng = np.random.default_rng(0)
    count, width = 300, 20
    chosen = rng.integers(0, width, count)
    helps = rng.normal(size=(count, width)) + 3 * (np.arange(width) == chosen[:, None])
    scores = np.stack([rng.normal(size=(count, width)), helps, rng.normal(size=(count, width))], axis=-1)
    weights = choose_weights(
        scores.astype(np.float32), np.ones((count, width), np.float32), chosen, np.arange(count) % 50,
        ("engage", "like", "noise"),
    )  # fmt: skip
    assert weights["engage"] == 1.0
    assert weights["like"] > 0
    assert weights["noise"] == 0.0


def test_statistics_of_no_candidates_are_zeros() -> None:
    nothing = {n: np.zeros((0, w), np.float32) for n, w in (("item_dense", 2), ("retrieval", 7), ("pair_dense", 3))}
    mean, spread, log_sums = statistics_of(nothing)
    assert not mean.any()
    assert not spread.any()
    assert not log_sums.any()
