"""Whole numbers order candidates as floats do, and a candidate's score is its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from toy_requests import RECIPE, item_features, known, moved, requests

from penchant.errors import BundleMismatch
from penchant.sessions import open_session
from training.ranking import export
from training.ranking.compression.int8 import TOLERANCE, to_int8
from training.ranking.export import FLOAT_FILE, RANKER_FILE, export_ranker, feeds_of, write_ranker
from training.ranking.model import Outputs
from training.ranking.train import TrainedRanker

OUTPUTS = Outputs(*(np.array([x], np.float32) for x in (1.0, 0.0, 0.0, 1.0)), np.array([False]))


def ranker(**changes: Any) -> TrainedRanker:
    return TrainedRanker(moved(replace(RECIPE, **changes)), OUTPUTS, ("engage", "click"), (), ())


def test_the_large_products_are_of_whole_numbers_and_the_scores_those_of_floats_but_for_rounding(
    tmp_path: Path,
) -> None:
    feeds = feeds_of(requests(16, 0), item_features())
    spec = write_ranker(ranker(members=2), True, known(), feeds, tmp_path)
    assert (spec.file, spec.tolerance) == (RANKER_FILE, TOLERANCE)
    assert [path.name for path in (tmp_path / "warm").iterdir()] == [Path(FLOAT_FILE).name]
    graph = onnx.load(tmp_path / RANKER_FILE).graph
    assert sum(node.op_type == "MatMulIntegerToFloat" for node in graph.node) == 2 * 3
    assert all(np.abs(onnx.numpy_helper.to_array(t)).max() < 64 for t in graph.initializer if t.data_type == 3)
    rounded = open_session(tmp_path, spec)
    exact = open_session(tmp_path, replace(spec, file=FLOAT_FILE, golden=""))
    for feed in feeds:
        wanted = exact(feed)
        assert np.abs(rounded(feed) - wanted).max() < 0.05 * max(float(np.ptp(wanted[:, 0])), 1.0)
        np.testing.assert_array_equal(rounded(feed), rounded(feed))


def test_a_network_without_such_products_stays_as_it_is(tmp_path: Path) -> None:
    feeds = feeds_of(requests(8, 0), item_features())
    spec = export_ranker(ranker(cross="neumf"), known(), feeds, tmp_path, "ranker.onnx")
    assert to_int8(tmp_path / spec.file, feeds, tmp_path / "int8.onnx") == 0
    assert not (tmp_path / "int8.onnx").exists()


def test_scores_that_are_off_by_more_than_rounding_are_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "FARTHEST", 1e-7)
    with pytest.raises(BundleMismatch, match="set compress = False"):
        write_ranker(ranker(), True, known(), feeds_of(requests(8, 0), item_features()), tmp_path)
