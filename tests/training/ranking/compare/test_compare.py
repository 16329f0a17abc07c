"""Rankers side by side: equal samples, collected once; honest metrics; a name that is not known is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penchant.errors import ConfigError
from training.data.dataset import Dataset
from training.data.read import read_dataset
from training.evaluation.probability import auc
from training.ranking.compare.__main__ import main
from training.ranking.compare.collected import PARTS, Collected, Held, collected
from training.ranking.compare.contestants import contestants
from training.ranking.compare.intervals import auc_interval
from training.ranking.compare.judged import slate_ndcg
from training.ranking.recipe import RankingRecipe
from training.recipes import resolve

HELD = Held(requests=200, slates=100)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


def test_every_model_is_judged_on_what_was_held_out_and_beside_the_others(
    tiny_data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (
        f"--recipe tiny --models target,trees --seed 3 --test-requests {HELD.requests} --test-slates {HELD.slates}"
    )
    assert main(["--data", str(tiny_data), "--out", str(out), *options.split()]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(result["models"]) == ["default", "target", "trees"]
    assert result == json.loads((out / "compare.json").read_text())
    assert (out / "compare.png").read_bytes().startswith(b"\x89PNG")
    for name, model in result["models"].items():
        assert set(model["metrics"]) == {"click", "purchase", "like", "rating", "order"}
        assert set(model["metrics"]["click"]) == {"auc", "gauc", "log_loss", "ece"}
        assert 0 < model["metrics"]["order"]["requests_ndcg@10"] < 1
        assert 0.5 < model["metrics"]["click"]["auc"] < 1
        assert set(model["less"]) == {"default", "target", "trees"} - {name}
        assert (name == "trees") == ("serving_ms" not in model)
    gap = result["models"]["target"]["less"]["default"]["click"]["auc"]
    values = [result["models"][name]["metrics"]["click"]["auc"] for name in ("target", "default")]
    assert gap["difference"] == pytest.approx(values[0] - values[1])
    assert gap["low"] <= gap["difference"] <= gap["high"]


def test_samples_are_collected_once_unless_their_file_is_broken_or_the_data_is_other(
    tiny_data: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(tiny_data)
    recipe = resolve("tiny", dataset)

    def told(data: Dataset = dataset) -> tuple[Collected, bool]:
        steps: list[str] = []
        found = collected(data, recipe, HELD, tmp_path, 3, lambda step, done: steps.append(step))
        return found, steps == ["samples kept from before"]

    first, kept = told()
    assert not kept
    again, kept = told()
    assert kept
    for part in PARTS:
        np.testing.assert_array_equal(again.samples(part).rows, first.samples(part).rows)
        np.testing.assert_array_equal(again.users[part], first.users[part])
    (tmp_path / "valid.npz").write_bytes(b"half")
    assert not told()[1]
    assert told()[1]
    # The same events of items that are described in other words.
    name, genres = next(iter(dataset.items.multi.items()))
    items = replace(dataset.items, multi={**dataset.items.multi, name: [genres[-1], *genres[1:-1], genres[0]]})
    assert items.multi[name] != genres
    assert not told(replace(dataset, items=items))[1]


def test_an_unknown_model_is_refused_with_those_there_are(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(tiny_data), "--out", str(tmp_path), "--recipe", "tiny", "--models", "target,lstm"]
    assert main(arguments) == 2
    assert "--models names 'lstm': known are default, target, din" in capsys.readouterr().err.replace("\n", " ")
    with pytest.raises(ConfigError, match="known are"):
        contestants(["trees+mmoe"], RankingRecipe())


def test_changes_are_joined() -> None:
    found = contestants(["din+mmoe", "trees"], RankingRecipe(dim=8))
    assert found["default"] == RankingRecipe(dim=8)
    assert found["din+mmoe"] == RankingRecipe(dim=8, attention="din", heads="mmoe")
    assert found["trees"] is None


def test_a_slate_s_ndcg_is_1_in_the_best_order_and_unknown_without_an_act() -> None:
    nothing = np.nan
    gains = np.array([[1, 0, 1, nothing], [1, 0, 1, nothing], [0, 0, nothing, nothing]], np.float32)
    scores = np.array([[3, 1, 2, 9], [1, 3, 2, 9], [1, 2, 3, 4]], np.float32)
    best = 1 + 1 / np.log2(3)
    found = slate_ndcg(scores, gains)
    np.testing.assert_allclose(found[:2], [1.0, (1 / np.log2(3) + 1 / np.log2(4)) / best])
    assert np.isnan(found[2])
    np.testing.assert_allclose(slate_ndcg(scores, gains, k=1)[:2], [1.0, 0.0])


def test_the_interval_of_an_auc_s_gain_holds_the_gain_and_none_holds_0() -> None:
    rng = np.random.default_rng(0)
    users = rng.integers(0, 100, 3000)
    labels = rng.integers(0, 2, 3000).astype(np.float32)
    good, bad = labels + rng.normal(size=3000), 0.3 * labels + rng.normal(size=3000)
    low, high = auc_interval(labels, good, bad, users, seed=0)
    assert 0 < low < auc(labels, good) - auc(labels, bad) < high
    assert auc_interval(labels, good, good, users, seed=0) == (0.0, 0.0)
    tied = np.round(good)
    one, other = auc_interval(labels, tied, np.zeros(3000), users, seed=0, draws=50)
    assert one < auc(labels, tied) - 0.5 < other
    assert np.isnan(auc_interval(np.ones(3), good[:3], bad[:3], users[:3], seed=0)).all()
