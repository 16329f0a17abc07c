"""Finds the reader for a folder or file."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

from penchant.errors import DataError
from training.data.dataset import Dataset
from training.data.movielens import NAME_1M, NAME_100K, read_1m, read_100k, read_latest
from training.data.sequence import read_sequences
from training.data.toml_folder import read_toml

_ID = re.compile(r"[\w-]+")


def read_dataset(path: Path | str) -> Dataset:
    """Read a dataset. Raises DataError, naming the file, line, column and remedy.

    A folder with dataset.toml; MovieLens 100k (u.data), 1M (ratings.dat) or latest (ratings.csv); a sequence file,
    or a folder that holds one *.txt sequence file.
    """
    reader, found = _reader(Path(path))
    return reader(found)


def dataset_name(path: Path | str) -> str:
    """The name that read_dataset would give, without reading the events. Raises DataError as it does."""
    reader, found = _reader(Path(path))
    if reader is read_100k:
        return NAME_100K
    if reader is read_1m:
        return NAME_1M
    if reader is read_sequences:
        return found.stem
    name = found.resolve().name
    if reader is read_toml:
        try:
            name = tomllib.loads((found / "dataset.toml").read_text()).get("name", name)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise DataError(str(found / "dataset.toml"), f"is no TOML: {error}") from None
    return str(name)


def _reader(path: Path) -> tuple[Callable[[Path], Dataset], Path]:
    """Which reader, and the folder or file it is to be given."""
    if path.is_file():
        return (read_toml, path.parent) if path.name == "dataset.toml" else (read_sequences, path)
    if not path.is_dir():
        raise DataError(str(path), "no such folder or file: give one with dataset.toml, MovieLens or a sequence file")
    for name, reader in (
        ("dataset.toml", read_toml),
        ("u.data", read_100k),
        ("ratings.dat", read_1m),
        ("ratings.csv", read_latest),
    ):
        if (path / name).is_file():
            return reader, path
    candidates = [p for p in sorted(path.glob("*.txt")) if _is_sequence(p)]
    if len(candidates) == 1:
        return read_sequences, candidates[0]
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
