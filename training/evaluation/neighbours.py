"""Nearest neighbours, the oldest collaborative filters: of items (Sarwar et al., WWW 2001) and of users (Resnick 1994).

Two items are near if the same users had them, two users if they had the same items: the cosine of their columns or rows
of zeros and ones.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from penchant.types import Matrix, Vector

ITEM_NEIGHBOURS = 200
USER_NEIGHBOURS = 200
_SHRINKAGE = 10.0
"""Added to the norms' product: what few users had together is no proof of likeness."""
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class ItemKnnModel:
    """Rows of the likeness matrix [N+1, N+1], each with its nearest others."""

    likeness: sparse.csr_matrix

    def scores(self, histories: sparse.csr_matrix) -> Matrix:
        """float32 [T, N+1] of histories [T, N+1], zeros and ones: the sum over the history's items; row 0 is -inf."""
        return _without_unknown((histories @ self.likeness).toarray())


def fit_item_knn(interactions: sparse.csr_matrix, neighbours: int = ITEM_NEIGHBOURS) -> ItemKnnModel:
    """Fit on zeros and ones [U, N+1] over rows; column 0 is ignored."""
    x = _known(interactions)
    by_item = x.T.tocsr()
    norms = np.sqrt(np.asarray(x.sum(axis=0)).ravel())
    blocks = []
    for start in range(0, by_item.shape[0], _BLOCK):
        together = (by_item[start : start + _BLOCK] @ x).toarray()
        block = np.arange(start, start + len(together))
        likeness = together / (norms[block, None] * norms[None, :] + _SHRINKAGE)
        likeness[np.arange(len(block)), block] = 0.0
        blocks.append(_nearest(likeness, neighbours))
    return ItemKnnModel(sparse.vstack(blocks, format="csr"))


@dataclass(frozen=True, slots=True)
class UserKnnModel:
    """The users who are asked: interactions [U, N+1] and their norms."""

    interactions: sparse.csr_matrix
    norms: Vector
    neighbours: int

    def scores(self, histories: sparse.csr_matrix) -> Matrix:
        """float32 [T, N+1] of histories [T, N+1], zeros and ones: what the nearest users had, by how near they are."""
        x = _known(histories)
        together = (x @ self.interactions.T).toarray()
        norms = np.sqrt(np.asarray(x.sum(axis=1)))
        nearest = _nearest(together / (norms * self.norms[None, :] + _SHRINKAGE), self.neighbours)
        return _without_unknown((nearest @ self.interactions).toarray())


def fit_user_knn(interactions: sparse.csr_matrix, neighbours: int = USER_NEIGHBOURS) -> UserKnnModel:
    """Fit on zeros and ones [U, N+1] over rows; column 0 is ignored."""
    x = _known(interactions)
    return UserKnnModel(x, np.sqrt(np.asarray(x.sum(axis=1)).ravel()), neighbours)


def _known(interactions: sparse.csr_matrix) -> sparse.csr_matrix:
    """With column 0 emptied."""
    width = interactions.shape[1]
    known = sparse.diags(np.concatenate([[0.0], np.ones(width - 1)]).astype(np.float32))
    emptied = (interactions @ known).tocsr()
    emptied.eliminate_zeros()
    return emptied


def _nearest(likeness_BM: Matrix, k: int) -> sparse.csr_matrix:
    """The k largest of each row, the others left out."""
    width = min(k, likeness_BM.shape[1])
    columns = np.sort(np.argpartition(-likeness_BM, width - 1, axis=1)[:, :width], axis=1)
    kept = np.take_along_axis(likeness_BM, columns, axis=1).astype(np.float32)
    indptr = np.arange(0, len(kept) * width + 1, width)
    nearest = sparse.csr_matrix((kept.ravel(), columns.ravel(), indptr), shape=likeness_BM.shape)
    nearest.eliminate_zeros()
    return nearest


def _without_unknown(scores_TN: Matrix) -> Matrix:
    scores = np.asarray(scores_TN, np.float32)
    scores[:, 0] = -np.inf
    return scores
