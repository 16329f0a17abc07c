"""Array types used across Penchant.

Shape letters: N items, B candidates, L history, D embedding, F features, T tasks."""

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]
Rows = NDArray[np.uint32]
Bits = NDArray[np.uint32]
Times = NDArray[np.int64]
Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]
Mask = NDArray[np.bool_]
