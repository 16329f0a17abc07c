"""Gradient-boosted trees on the ranker's dense features: the baseline that the neural ranker must beat."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from penchant.bundle import ModelSpec, TensorSpec
from penchant.types import Matrix
from training.export import check_parity, with_golden
from training.ranking.recipe import RankingRecipe
from training.ranking.samples import Samples
from training.ranking.train import dense_of

_NODES = (
    "treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids", "missing_value_tracks_true",
)  # fmt: skip


def tree_rows(
    samples: Samples, features_NF: Matrix, most: int, seed: int
) -> tuple[Matrix, NDArray[np.int64], NDArray[np.float32]]:
    """penchant.ranking.feature_rows of the candidates of requests whose target was proposed: rows, chosen, weights."""
    found = np.flatnonzero(samples.chosen >= 0)
    width = max(samples.rows.shape[1], 1)
    if len(found) * width > most:
        found = np.sort(np.random.default_rng(seed).permutation(found)[: max(most // width, 1)])
    dense = dense_of(samples, features_NF, found)
    user = np.broadcast_to(samples.user_dense[found][:, None], (*dense.shape[:2], samples.user_dense.shape[1]))
    used = samples.weights[found] > 0
    chosen = np.zeros(used.shape, np.int64)
    chosen[np.arange(len(found)), samples.chosen[found]] = 1
    rows = np.concatenate([user[used], dense[used]], axis=1).astype(np.float32)
    return rows, chosen[used], samples.weights[found][used]


def fit_trees(
    train: Samples, features_NF: Matrix, recipe: RankingRecipe, seed: int, folder: Path, file: str
) -> ModelSpec | None:
    """Train on the `engage` label of the ranker's own samples and write folder/file and its golden rows.

    Input features float32 [B, F], output scores [B, 1]: the probability of being chosen. None without a positive.
    Raises BundleMismatch if ONNX Runtime gives something else.
    """
    rows, chosen, weights = tree_rows(train, features_NF, recipe.tree_rows, seed)
    if len(np.unique(chosen)) < 2:
        return None
    model = booster(recipe, seed)
    model.fit(rows, chosen, sample_weight=weights)
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(tree_graph(model, rows.shape[1]), path)
    checked = rows[np.random.default_rng(seed).permutation(len(rows))[:2000]]
    expected = model.predict_proba(checked)[:, 1:].astype(np.float32)
    spec = ModelSpec(
        file, (TensorSpec("features", "float32", (-1, rows.shape[1])),), (TensorSpec("scores", "float32", (-1, 1)),), ""
    )
    check_parity(folder, spec, [{"features": checked}], [expected])
    return with_golden(folder, spec, {"features": checked[:16]}, expected[:16])


def booster(recipe: RankingRecipe, seed: int, number: bool = False) -> Any:
    """Trees that are not fitted yet, of a yes or no or of a number."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if number else HistGradientBoostingClassifier
    return kind(
        max_iter=recipe.trees, max_leaf_nodes=recipe.leaves, learning_rate=0.05, min_samples_leaf=50,
        l2_regularization=1.0, early_stopping=False, random_state=seed,
    )  # fmt: skip


def tree_graph(model: Any, width: int) -> onnx.ModelProto:
    """A fitted binary HistGradientBoostingClassifier as one TreeEnsembleRegressor and a sigmoid.

    skl2onnx 1.20 fails on the trees of scikit-learn 1.9. Features are float32 and thresholds float64, so a threshold
    is rounded down to float32: x <= t then says the same of every x.
    """
    nodes: dict[str, list[Any]] = {name: [] for name in _NODES}
    leaves: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    for tree, (predictor,) in enumerate(model._predictors):
        for i, node in enumerate(predictor.nodes):
            is_leaf = bool(node["is_leaf"])
            threshold = np.float32(node["num_threshold"])
            if threshold > node["num_threshold"]:
                threshold = np.nextafter(threshold, np.float32(-np.inf))
            for name, value in zip(
                _NODES,
                (
                    tree, i, 0 if is_leaf else int(node["feature_idx"]), 0.0 if is_leaf else float(threshold),
                    "LEAF" if is_leaf else "BRANCH_LEQ", int(node["left"]), int(node["right"]),
                    int(node["missing_go_to_left"]),
                ),
                strict=True,
            ):  # fmt: skip
                nodes[name].append(value)
            if is_leaf:
                for name, value in zip(leaves, (tree, i, 0, float(node["value"])), strict=True):
                    leaves[name].append(value)
    ensemble = onnx.helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["log_odds"], domain="ai.onnx.ml", n_targets=1,
        aggregate_function="SUM", base_values=[float(np.ravel(model._baseline_prediction)[0])],
        **{f"nodes_{name}": values for name, values in nodes.items()},
        **{f"target_{name}": values for name, values in leaves.items()},
    )  # fmt: skip
    graph = onnx.helper.make_graph(
        [ensemble, onnx.helper.make_node("Sigmoid", ["log_odds"], ["scores"])],
        "trees",
        [onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["candidates", width])],
        [onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["candidates", 1])],
    )
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
