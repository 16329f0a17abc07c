"""What a bundle keeps so that a later training can start from it: <bundle>/warm/."""

from dataclasses import dataclass
from pathlib import Path

from penchant.errors import BundleMismatch
from training.learning.book import Book
from training.ranking.warm import RankerWeights
from training.retrieval.weights import TowerWeights

FOLDER = "warm"
BOOK_REQUESTS = 2000
"""Ranking requests that a bundle keeps for replay."""


@dataclass(frozen=True, slots=True)
class Warm:
    """Weights of both models, and ranking samples to replay."""

    towers: TowerWeights
    ranker: RankerWeights
    book: Book

    def write(self, folder: Path) -> None:
        """Write the files below a bundle folder."""
        self.towers.write(folder / FOLDER / "towers.npz")
        self.ranker.write(folder / FOLDER / "ranker.npz")
        self.book.write(folder / FOLDER / "samples.npz")

    @classmethod
    def read(cls, folder: Path) -> "Warm":
        """Of a verified bundle. Raises BundleMismatch for one that keeps none, or another's."""
        if not (folder / FOLDER).is_dir():
            raise BundleMismatch(
                f"bundle {folder.name} keeps no weights to learn on from: train one with `python -m training fit`"
            )
        return cls(
            TowerWeights.read(folder / FOLDER / "towers.npz"),
            RankerWeights.read(folder / FOLDER / "ranker.npz"),
            Book.read(folder / FOLDER / "samples.npz"),
        )
