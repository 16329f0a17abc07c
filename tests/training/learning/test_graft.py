"""New weights in an old graph compute what a new export computes."""

from pathlib import Path

import numpy as np
import torch

from penchant.sessions import open_session
from training.export import export_model
from training.learning.graft import grafted_model
from training.retrieval.recipe import RetrievalRecipe
from training.retrieval.tower import ServedUserTower, Towers

RECIPE = RetrievalRecipe(dim=8, blocks=2, heads=2, history_length=6)
FREE = {"history_rows": "batch"}


def towers(items: int, seed: int) -> ServedUserTower:
    torch.manual_seed(seed)
    made = Towers(RECIPE, torch.randn(items + 1, 16), torch.ones(items + 1, dtype=torch.bool)).eval()
    return ServedUserTower(made).eval()


def feeds(items: int) -> list[dict[str, np.ndarray]]:
    rows = np.random.default_rng(0).integers(0, items + 1, (5, 6))
    rows[:, -1] = items
    return [{"history_rows": rows}, {"history_rows": rows[:1]}]


def test_a_graft_is_the_new_model_also_over_more_items(tmp_path: Path, monkeypatch) -> None:
    old, new = towers(20, 1), towers(25, 2)
    spec = export_model(old, feeds(20), FREE, "user_embedding", tmp_path / "old", "tower.onnx")
    exported = []
    monkeypatch.setattr("training.learning.graft.export_model", lambda *a, **k: exported.append(a))
    grafted = grafted_model(old, new, tmp_path / "old" / "tower.onnx", spec, feeds(25), FREE, tmp_path / "new")
    assert exported == []
    (tmp_path / "new").mkdir(exist_ok=True)
    found = open_session(tmp_path / "new", grafted)(feeds(25)[0])
    with torch.no_grad():
        expected = new(torch.from_numpy(feeds(25)[0]["history_rows"])).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_where_the_old_weights_are_not_the_graph_s_it_is_exported_anew(tmp_path: Path) -> None:
    old, other, new = towers(20, 1), towers(20, 3), towers(20, 2)
    spec = export_model(old, feeds(20), FREE, "user_embedding", tmp_path / "old", "tower.onnx")
    grafted = grafted_model(other, new, tmp_path / "old" / "tower.onnx", spec, feeds(20), FREE, tmp_path / "new")
    found = open_session(tmp_path / "new", grafted)(feeds(20)[0])
    with torch.no_grad():
        expected = new(torch.from_numpy(feeds(20)[0]["history_rows"])).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
