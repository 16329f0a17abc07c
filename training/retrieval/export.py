"""The towers as ONNX, checked against torch before anything is published, and the HNSW index."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.bundle import ModelSpec
from penchant.types import Matrix
from training.export import Feed, export_model
from training.retrieval.tower import ServedItemTower, ServedUserTower, Towers

HNSW_M = 24
HNSW_EF_CONSTRUCTION = 200
USER_FREE = {"history_rows": "batch"}
ITEM_FREE = {"content": "batch"}


def export_towers(
    towers: Towers, histories_BL: NDArray[np.int64], content_NC: Matrix, folder: Path
) -> dict[str, ModelSpec]:
    """Write retrieval/{user,item}_tower.onnx with golden rows below the bundle folder.

    Raises BundleMismatch if ONNX Runtime's answer is off by more than 1e-4 on histories_BL (two or more), on a
    single one of them, or on the content.
    """
    user_feeds, item_feeds = tower_feeds(histories_BL, content_NC)
    user = export_model(
        ServedUserTower(towers), user_feeds, USER_FREE, "user_embedding", folder, "retrieval/user_tower.onnx"
    )
    item = export_model(
        ServedItemTower(towers), item_feeds, ITEM_FREE, "item_embedding", folder, "retrieval/item_tower.onnx"
    )
    return {"user_tower": user, "item_tower": item}


def tower_feeds(histories_BL: NDArray[np.int64], content_NC: Matrix) -> tuple[list[Feed], list[Feed]]:
    """Inputs that exports of the user and of the item tower are checked on, two rows or more in the first."""
    described = np.flatnonzero(content_NC.any(axis=1))[:8]
    content_BC = content_NC[described] if len(described) >= 2 else np.repeat(content_NC[:1], 2, axis=0)
    user: list[Feed] = [{"history_rows": histories_BL}, {"history_rows": histories_BL[:1]}]
    item: list[Feed] = [{"content": content_BC}, {"content": content_BC[:1]}]
    return user, item


def write_index(embeddings: Matrix, path: Path) -> None:
    """hnswlib over rows 1..N by inner product; one thread, so that equal embeddings give an equal index."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=embeddings.shape[1])
    index.init_index(len(embeddings) - 1, M=HNSW_M, ef_construction=HNSW_EF_CONSTRUCTION, random_seed=1)
    index.set_num_threads(1)
    index.add_items(embeddings[1:], np.arange(1, len(embeddings)), num_threads=1)
    index.save_index(str(path))
