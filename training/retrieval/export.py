"""The user tower as ONNX, checked against torch before anything is published, and the HNSW index."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.bundle import ModelSpec
from penchant.types import Matrix
from training.export import Feed, export_model
from training.retrieval.tower import ServedUserTower, Towers

HNSW_M = 24
HNSW_EF_CONSTRUCTION = 200
USER_FREE = {"history_rows": "batch"}


def export_user_tower(towers: Towers, histories_BL: NDArray[np.int64], folder: Path) -> ModelSpec:
    """Write retrieval/user_tower.onnx with golden rows below the bundle folder.

    Raises BundleMismatch if ONNX Runtime's answer is off by more than 1e-4 on histories_BL (two or more), or on a
    single one of them.
    """
    return export_model(
        ServedUserTower(towers), user_feeds(histories_BL), USER_FREE, "user_embedding", folder,
        "retrieval/user_tower.onnx",
    )  # fmt: skip


def user_feeds(histories_BL: NDArray[np.int64]) -> list[Feed]:
    """Inputs that exports of the user tower are checked on."""
    return [{"history_rows": histories_BL}, {"history_rows": histories_BL[:1]}]


def write_index(embeddings: Matrix, path: Path) -> None:
    """hnswlib over rows 1..N by inner product; one thread, so that equal embeddings give an equal index."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=embeddings.shape[1])
    index.init_index(len(embeddings) - 1, M=HNSW_M, ef_construction=HNSW_EF_CONSTRUCTION, random_seed=1)
    index.set_num_threads(1)
    index.add_items(embeddings[1:], np.arange(1, len(embeddings)), num_threads=1)
    index.save_index(str(path))
