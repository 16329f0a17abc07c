"""Matrix factorisation by alternating least squares: Hu, Koren and Volinsky, ICDM 2008; the library is implicit."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy import sparse

from penchant.types import Matrix

FACTORS = 64
"""At most; a small set gets a quarter of its smaller side, or it would be learned by heart, zeros included."""
ITERATIONS = 15
REGULARISATION = 0.05
WEIGHT = 10.0
"""How much surer a one is than a zero: implicit's alpha."""


@dataclass(frozen=True, slots=True)
class AlsModel:
    """Item factors; a user's are solved from the history when they are asked for."""

    model: Any

    def scores(self, histories: sparse.csr_matrix) -> Matrix:
        """float32 [T, N+1] of histories [T, N+1], zeros and ones; row 0 scores -inf."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "blas"):
            users = self.model.recalculate_user(np.arange(histories.shape[0]), histories.astype(np.float32))
            scores = np.asarray(users @ self.model.item_factors.T, np.float32)
        scores[:, 0] = -np.inf
        return scores


def not_installed() -> str | None:
    """Why ALS is left out; None if it is not."""
    if find_spec("implicit") is not None:
        return None
    return "the package implicit is not installed: pip install 'implicit>=0.7.2,<0.8'"


def fit_als(interactions: sparse.csr_matrix, factors: int = FACTORS, seed: int = 0) -> AlsModel:
    """Fit on zeros and ones [U, N+1] over rows, in one thread: equal interactions and seeds give equal models."""
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    few = max(min(interactions.shape) // 4, 1)
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=min(factors, few), iterations=ITERATIONS, regularization=REGULARISATION, alpha=WEIGHT,
            num_threads=1, random_state=seed,
        )  # fmt: skip
        model.fit(sparse.csr_matrix(interactions, dtype=np.float32), show_progress=False)
    return AlsModel(model)
