"""Cold items, measured."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penchant.errors import ConfigError
from penchant.media import PICTURE, packed
from training.content.cold import _parser, cold, main
from training.content.likeness import TfidfNeighbours
from training.content.measure import _places
from training.content.popular import PopularByThen
from training.data.dataset import Attributes, Dataset


def options(folder: Path, *more: str) -> argparse.Namespace:
    return _parser().parse_args(["--data", ".", "--recipe", "tiny", "--seed", "1", "--out", str(folder), *more])


def test_what_is_written_of_cold_items_places_them_and_the_attribute_that_tells_is_found(
    described: Dataset, tmp_path: Path
) -> None:
    result = cold(described, options(tmp_path, "--share", "0.2", "--retrieval-only"))
    among = result["among_cold"]
    assert among["times_random"]["hr@10"] > 1.2
    assert result["cold_items"] == 16
    others = {name: metrics["ndcg@10"]["mean"] for name, metrics in among["others"].items()}
    ndcg = among["tower"]["ndcg@10"]["mean"]
    assert ndcg > 1.5 * others["random"]
    assert others["title alone"] > others["half alone"]
    assert others["without half"] == others["title alone"]
    low, high = among["others"]["random"]["ndcg@10"]["tower_minus_this"]
    assert 0 < low < ndcg - others["random"] < high
    for found in result["full_catalogue"].values():
        assert 0 <= found["cold_hr@10_interval"][0] <= found["cold_hr@10"] <= found["cold_hr@10_interval"][1]
        assert found["warm_hr@10"] <= found["warm_hr@10_without_cold_items"]
        assert found["warm_loss"] >= 0
    json.dumps(result)


def test_a_picture_alone_places_cold_items_and_popularity_does_not(described: Dataset, tmp_path: Path) -> None:
    """A picture is as bright as its kind has it, in noise."""
    rng = np.random.default_rng(0)
    kind = np.repeat(np.arange(4), len(described.item_ids) // 4)
    pixels = 40 + 50 * kind[:, None, None, None] + rng.normal(0, 30, (len(kind), *PICTURE))
    covers = [packed(one) for one in pixels.clip(0, 255).astype(np.uint8)]
    items = replace(described.items, image={"cover": covers}, audio={"sound": [""] * len(covers)})
    result = cold(replace(described, items=items), options(tmp_path, "--share", "0.2", "--retrieval-only"))
    others = {name: metrics["ndcg@10"] for name, metrics in result["among_cold"]["others"].items()}
    assert others["cover alone"]["minus_popular"][0] > 0
    assert others["cover alone"]["mean"] > 1.3 * others["random"]["mean"]
    assert others["cover alone"]["mean"] > others["half alone"]["mean"]
    assert others["without pictures and sounds"]["mean"] == others["without cover"]["mean"]
    assert others["sound alone"]["together_minus_this"][0] > 0
    assert others["popular_by_then"]["mean"] < 1.3 * others["random"]["mean"]


def test_popularity_is_what_it_was_before_the_event(described: Dataset) -> None:
    events = described.events
    popular = PopularByThen(described, np.array([3, 50]))
    asked = np.array([0, 100, len(events) - 1])
    expected = [[(events.items[:place] == item).sum() for item in (3, 50)] for place in asked]
    np.testing.assert_array_equal(popular.scores(asked), expected)


def test_random_is_its_exact_expectation(described: Dataset, tmp_path: Path) -> None:
    result = cold(described, options(tmp_path, "--share", "0.5", "--max-users", "20", "--retrieval-only"))
    assert result["cold_users"] == 20
    # 40 cold items, less those that a user has met by then.
    assert 0.25 < result["among_cold"]["others"]["random"]["hr@10"]["mean"] < 0.31


def test_the_command_ends_with_one_json_line(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--data", str(tiny_data), "--recipe", "tiny", "--share", "0.2", "--out", str(tmp_path), "--threads", "1"]
    assert main([*asked, "--retrieval-only"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["described_by"] == ["title", "maker", "genres", "price"]
    assert {"without title", "title alone", "tfidf", "random"} < set(result["among_cold"]["others"])
    assert json.loads((tmp_path / "cold.json").read_text()) == result
    assert main([*asked, "--through", "127.0.0.1:1"]) == 2
    assert "run the same command without --through first" in capsys.readouterr().err


def test_items_of_which_nothing_is_said_are_refused_with_a_remedy(described: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="kinds says nothing of its items"):
        cold(replace(described, items=Attributes()), options(tmp_path))


def test_tfidf_scores_are_the_mean_likeness_to_the_history() -> None:
    near = TfidfNeighbours([["boat", "sea"], ["tree"], ["sea"]], [["sea"], ["tree"]])
    scores = near.scores(np.array([1, 2, 3]), np.array([0, 1]), np.array([3, 2]))
    assert scores[1].tolist() == pytest.approx([0.0, 1.0])
    assert scores[0, 0] == pytest.approx(
        (1.0 + float(near.scores(np.array([1]), np.array([0]), np.array([1]))[0, 0])) / 3
    )


def test_equal_scores_win_nothing() -> None:
    places = _places(np.zeros((1, 9), np.float32), np.array([0]), np.zeros((1, 9), np.bool_))
    assert places.tolist() == [5]
