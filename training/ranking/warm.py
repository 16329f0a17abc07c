"""A trained ranker's weights without its items: what a later training starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.errors import BundleMismatch
from training.ranking.model import Outputs, Scale

_EARLIER = {"asks": "history.asks", "keys": "history.keys", "crosses": "cross.layers", "deep": "cross.deep",
            "head": "heads.head"}  # fmt: skip
"""How parts of a member were called before they could be chosen, and are called now."""
_MEMBERS, _SCALE, _OUTPUTS, _NUMBERS = "members:", "scale:", "outputs:", "numbers:"


@dataclass(frozen=True, slots=True)
class RankerWeights:
    """The members' parameters by name, what standardises their inputs and scales their outputs, and the tasks.

    numbers: mean and spread by which the items' numeric attributes were standardised, by name.
    """

    members: Mapping[str, NDArray[Any]]
    scale: Scale
    outputs: Outputs
    tasks: tuple[str, ...]
    """`engage` first."""
    numbers: Mapping[str, tuple[float, float]]

    def write(self, path: Path) -> None:
        """As one npz file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {_MEMBERS + name: value for name, value in self.members.items()}
        arrays |= {_SCALE + f.name: getattr(self.scale, f.name) for f in fields(Scale)}
        arrays |= {_OUTPUTS + f.name: getattr(self.outputs, f.name) for f in fields(Outputs)}
        arrays |= {_NUMBERS + name: np.array(pair) for name, pair in self.numbers.items()}
        np.savez(path, **arrays, tasks=np.array(self.tasks))

    @classmethod
    def read(cls, path: Path) -> "RankerWeights":
        """Back from write(). Raises BundleMismatch for another file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            return cls(
                {_named_now(name): value for name, value in _part(arrays, _MEMBERS).items()},
                Scale(**_part(arrays, _SCALE)),
                Outputs(**_part(arrays, _OUTPUTS)),
                tuple(arrays["tasks"].tolist()),
                {name: (float(pair[0]), float(pair[1])) for name, pair in _part(arrays, _NUMBERS).items()},
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleMismatch(
                f"{path} holds no ranker weights ({error}): train with `python -m training fit`"
            ) from None


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _named_now(name: str) -> str:
    """Of a member's parameter, "0.asks.weight": its name in a file of now."""
    member, part, *rest = name.split(".")
    return ".".join([member, _EARLIER.get(part, part), *rest])
