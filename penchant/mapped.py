"""Arrays of a bundle, mapped rather than read."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def mapped(path: Path) -> NDArray[Any]:
    """The array of an .npy file, mapped read-only.

    A plain array over the map: numpy.memmap runs Python at every indexing, thirty times a request.
    """
    return np.asarray(np.load(path, mmap_mode="r"))
