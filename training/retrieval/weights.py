"""The towers' weights without the towers: what a later training starts from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.errors import BundleMismatch
from penchant.types import Keys

_STATE = "state:"
_ENCODERS_OWN = ("blocks.", "last_norm.")
"""Names of the transformer's weights in bundles written before there were other encoders."""


@dataclass(frozen=True, slots=True)
class TowerWeights:
    """Every parameter by name, the keys of the rows [N+1] of ids_ND, and which of these ids were ever a target."""

    state: Mapping[str, NDArray[Any]]
    keys: Keys
    learned: NDArray[np.bool_]

    def write(self, path: Path) -> None:
        """As one npz file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {_STATE + name: value for name, value in self.state.items()}
        np.savez(path, **arrays, keys=self.keys, learned=self.learned)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path) -> "TowerWeights":
        """Back from write(). Raises BundleMismatch for another file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                state = {_named(name): file[name] for name in file.files if name.startswith(_STATE)}
                return cls(state, file["keys"], file["learned"])
        except (OSError, ValueError, KeyError) as error:
            raise BundleMismatch(
                f"{path} holds no tower weights ({error}): train with `python -m training fit`"
            ) from None


def _named(stored: str) -> str:
    name = stored.removeprefix(_STATE)
    return f"encoder.{name}" if name.startswith(_ENCODERS_OWN) else name
