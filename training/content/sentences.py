"""Vectors of a data set's items from a frozen encoder of anyone's: to measure beside what is served."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penchant.errors import ConfigError
from penchant.types import Matrix


def read_vectors(path: Path, item_ids: Sequence[str]) -> Matrix:
    """Vectors [items, W] of a file's `ids` and `v`, zeros for an item that it has not. Raises ConfigError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            place = {id_: i for i, id_ in enumerate(file["ids"].tolist())}
            vectors = np.concatenate([file["v"], np.zeros_like(file["v"][:1])]).astype(np.float32)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"--vectors {path} holds no item vectors ({error}): numpy.savez(path, ids=item ids, v=float32 [n, W])"
        ) from None
    return np.asarray(vectors[[place.get(id_, -1) for id_ in item_ids]])
