"""Item ids to names for people, where the data has them."""

import csv
import tomllib
from collections.abc import Iterator
from pathlib import Path

_MOVIELENS = (("movies.csv", ",", 0, 1), ("movies.dat", "::", 0, 1), ("u.item", "|", 0, 1))
_LONGEST = 60


def item_titles(data: Path) -> dict[str, str]:
    """By item id, at most 60 characters each; empty if the data names nothing that can be read here."""
    folder = data if data.is_dir() else data.parent
    for name, delimiter, item, title in _MOVIELENS:
        if (folder / name).is_file():
            return {row[item]: row[title][:_LONGEST] for row in _rows(folder / name, delimiter) if len(row) > title}
    return _described(folder)


def _described(folder: Path) -> dict[str, str]:
    """The first text column of the first item file of a dataset.toml."""
    try:
        items = tomllib.loads((folder / "dataset.toml").read_text())["items"]
        file, key, texts = folder / items["files"][0], items["id"], items["text"]
        text = texts[0] if isinstance(texts, list) else texts
        if file.suffix == ".parquet":
            return _parquet(file, key, text)
        rows = _rows(file, items.get("delimiter", ","))
        header = next(rows)
        item, title = header.index(key), header.index(text)
        return {row[item]: row[title][:_LONGEST] for row in rows if len(row) > max(item, title)}
    except (OSError, KeyError, IndexError, TypeError, ValueError, StopIteration, csv.Error):
        return {}


def _parquet(file: Path, key: str, text: str) -> dict[str, str]:
    import pyarrow.parquet as pq  # with the training extra alone

    table = pq.read_table(file, columns=[key, text])
    pairs = zip(table[key].to_pylist(), table[text].to_pylist(), strict=True)
    return {str(item): title[:_LONGEST] for item, title in pairs if title}


def _rows(file: Path, delimiter: str) -> Iterator[list[str]]:
    with file.open(encoding="latin-1" if file.suffix in (".dat", ".item") else "utf-8", newline="") as lines:
        if len(delimiter) > 1 or file.suffix == ".item":
            yield from (line.rstrip("\n").split(delimiter) for line in lines)
        else:
            yield from csv.reader(lines, delimiter=delimiter)
