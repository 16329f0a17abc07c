"""Finds the reader for a folder or file."""

import re
from pathlib import Path

from penchant.errors import DataError
from training.data.dataset import Dataset
from training.data.movielens import read_1m, read_100k, read_latest
from training.data.sequence import read_sequences
from training.data.toml_folder import read_toml

_ID = re.compile(r"[\w-]+")


def read_dataset(path: Path | str) -> Dataset:
    """Read a dataset. Raises DataError, naming the file, line, column and remedy.

    A folder with dataset.toml; MovieLens 100k (u.data), 1M (ratings.dat) or latest (ratings.csv); a sequence file,
    or a folder that holds one *.txt sequence file.
    """
    path = Path(path)
    if path.is_file():
        return read_toml(path.parent) if path.name == "dataset.toml" else read_sequences(path)
    if not path.is_dir():
        raise DataError(str(path), "no such folder or file: give one with dataset.toml, MovieLens or a sequence file")
    for name, reader in (
        ("dataset.toml", read_toml),
        ("u.data", read_100k),
        ("ratings.dat", read_1m),
        ("ratings.csv", read_latest),
    ):
        if (path / name).is_file():
            return reader(path)
    candidates = [p for p in sorted(path.glob("*.txt")) if _is_sequence(p)]
    if len(candidates) == 1:
        return read_sequences(candidates[0])
    if candidates:
        raise DataError(str(path), f"several sequence files ({[p.name for p in candidates]}): name one of them")
    raise DataError(str(path), "holds neither dataset.toml nor MovieLens nor a sequence file; see docs/data.md")


def _is_sequence(path: Path) -> bool:
    """Two or more ids a line in the first twenty lines: no prose, no notes, no map from one id to another."""
    if any(mark in path.name.lower() for mark in ("license", "readme", "_to_")):
        return False
    with path.open(errors="replace") as file:
        lines = [line.split() for _, line in zip(range(20), file, strict=False) if line.strip()]
    return bool(lines) and all(len(cells) >= 2 and all(_ID.fullmatch(c) for c in cells) for cells in lines)
