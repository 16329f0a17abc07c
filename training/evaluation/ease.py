"""EASE^R, the linear baseline that is hard to beat on dense sets. Steck, WWW 2019.

With X the users x items matrix of zeros and ones, P = inverse(X'X + regularisation I) and item weights
B = I - P / diag(P), a history h scores items as h B. The inverse is taken on the smaller side: where there are fewer
users than items, P h comes from the inverse of (X X' + regularisation I) instead.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from penchant.types import Matrix

MAX_SIDE = 6000
"""Users or items, the smaller of the two: beyond, the inverse takes minutes and gigabytes."""
REGULARISATION = 250.0


@dataclass(frozen=True, slots=True)
class EaseModel:
    """Scores of histories over rows 0..N; row 0 scores -inf."""

    rows: int
    weights: Matrix | None
    """B on the items' side; None where the users' side was inverted."""
    interactions: sparse.csr_matrix | None
    users_inverse: Matrix | None
    diagonal: NDArray[np.float32] | None
    regularisation: float

    def scores(self, histories: sparse.csr_matrix) -> Matrix:
        """float32 [T, N+1] of histories [T, N+1], zeros and ones."""
        history = histories[:, 1:]
        if self.weights is not None:
            scored = np.asarray(history @ self.weights, np.float32)
        else:
            assert self.interactions is not None
            assert self.users_inverse is not None
            # hP = (h - h X' (X X' + regularisation)^-1 X) / regularisation, by Woodbury's identity.
            through_users = (history @ self.interactions.T).toarray() @ self.users_inverse
            dense = history.toarray()
            projected = (dense - (self.interactions.T @ through_users.T).T) / self.regularisation
            scored = (dense - projected / self.diagonal).astype(np.float32)
        return np.concatenate([np.full((len(scored), 1), -np.inf, np.float32), scored], axis=1)


def too_large(users: int, items: int) -> str | None:
    """Why EASE is left out for a set of this size; None if it is not."""
    if min(users, items) <= MAX_SIDE:
        return None
    return f"{users} users and {items} items: EASE inverts a matrix of the smaller side, at most {MAX_SIDE}"


def fit_ease(interactions: sparse.csr_matrix, regularisation: float = REGULARISATION) -> EaseModel:
    """Fit on zeros and ones [U, N+1] over rows; column 0 is ignored."""
    x = sparse.csr_matrix(interactions[:, 1:], dtype=np.float32)
    users, items = x.shape
    if items <= users:
        gram = (x.T @ x).toarray().astype(np.float64)
        gram[np.diag_indices(items)] += regularisation
        inverse = _inverse(gram)
        weights = (-inverse / np.diag(inverse)).astype(np.float32)
        weights[np.diag_indices(items)] = 0.0
        return EaseModel(items + 1, weights, None, None, None, regularisation)
    gram = (x @ x.T).toarray().astype(np.float64)
    gram[np.diag_indices(users)] += regularisation
    inverse = _inverse(gram)
    diagonal = (1.0 - np.asarray(x.T.multiply(x.T @ inverse).sum(axis=1)).ravel()) / regularisation
    return EaseModel(items + 1, None, x, inverse.astype(np.float32), diagonal.astype(np.float32), regularisation)


def _inverse(symmetric: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a positive definite matrix, through Cholesky: half the work of a general inverse."""
    factor, info = linalg.lapack.dpotrf(symmetric, lower=True)
    inverse, info_inverse = linalg.lapack.dpotri(factor, lower=True)
    if info or info_inverse:
        raise np.linalg.LinAlgError(f"Cholesky failed at {info or info_inverse}: raise the regularisation")
    return np.asarray(np.tril(inverse) + np.tril(inverse, -1).T)
