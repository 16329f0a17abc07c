"""The baseline that a content tower has to beat: items whose words and tags are those of the history."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from penchant.types import Matrix

RECENT = 10
"""The newest items of a history that the narrower of the two baselines looks at."""


class TfidfNeighbours:
    """Mean cosine of TF-IDF vectors between an item and the history, the whole of it or its newest RECENT.

    Salton and Buckley 1988, with logarithmic term counts; the document frequencies are those of the warm items.
    """

    def __init__(self, warm: Sequence[Sequence[str]], cold: Sequence[Sequence[str]]) -> None:
        """Tokens of rows 1..N and of the cold items."""
        vectoriser = TfidfVectorizer(analyzer=list, sublinear_tf=True, dtype=np.float32)
        known = vectoriser.fit_transform([*warm, ["nothing"]])[: len(warm)]
        near = (known @ vectoriser.transform(cold).T).toarray()
        self._near_NC: Matrix = np.concatenate([np.zeros((1, len(cold)), np.float32), near])

    def scores(self, rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Matrix:
        """[T, C] of T histories rows[start:end]."""
        lengths = ends - starts
        owner = np.repeat(np.arange(len(starts)), lengths)
        columns = rows[np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)]
        weights = np.repeat(1.0 / np.maximum(lengths, 1), lengths).astype(np.float32)
        shape = (len(starts), len(self._near_NC))
        return np.asarray(sparse.csr_matrix((weights, (owner, columns)), shape=shape) @ self._near_NC, np.float32)
