"""MovieLens 100k, 1M and latest, as GroupLens ships them (https://grouplens.org/datasets/movielens/)."""

from pathlib import Path

import polars as pl

from penchant.errors import DataError
from training.data.attributes import EntityTable, entity_table
from training.data.columns import numbers, texts
from training.data.dataset import Dataset
from training.data.files import Dialect, Source, read_files
from training.data.table import build
from training.data.times import times_us

NAME_100K, NAME_1M = "ml-100k", "ml-1m"
TASKS = {"like": "value >= 4", "rating": "value"}
_ITEM_KINDS = {"title": "text", "genres": "multi", "year": "numeric"}
_USER_KINDS = dict.fromkeys(("age", "gender", "occupation"), "categorical")


def read_100k(folder: Path) -> Dataset:
    """u.data, u.item, u.user, u.genre."""
    events = _lines(folder / "u.data", "\t", ["user", "item", "value", "time"])
    genres = _lines(folder / "u.genre", "|", ["name", "number"]).frame["name"].to_list()
    raw = _lines(folder / "u.item", "|", ["id", "title", "released", "video", "url", *genres])
    flags = raw.frame.select(genres).rows()
    tagged = pl.Series("genres", ["|".join(g for g, f in zip(genres, row, strict=True) if f == "1") for row in flags])
    users = _lines(folder / "u.user", "|", ["id", "age", "gender", "occupation"])
    decade = (pl.col("age").cast(pl.Int64, strict=False) // 10 * 10).cast(pl.String)
    counts: dict[str, int] = {}
    return _rated(
        folder, NAME_100K, events, _films(_with(raw, raw.frame.with_columns(tagged)), counts),
        _people(_with(users, users.frame.with_columns(decade.alias("age"))), counts), counts,
    )  # fmt: skip


def read_1m(folder: Path) -> Dataset:
    """ratings.dat, movies.dat, users.dat."""
    events = _lines(folder / "ratings.dat", "::", ["user", "item", "value", "time"])
    items = _lines(folder / "movies.dat", "::", ["id", "title", "genres"])
    users = _lines(folder / "users.dat", "::", ["id", "gender", "age", "occupation"])
    counts: dict[str, int] = {}
    return _rated(folder, NAME_1M, events, _films(items, counts), _people(users, counts), counts)


def read_latest(folder: Path) -> Dataset:
    """ratings.csv, movies.csv; named as its folder."""
    named = {"userId": "user", "movieId": "item", "rating": "value", "timestamp": "time"}
    events = read_files(folder, ["ratings.csv"], Dialect(","), dict.fromkeys(named, "MovieLens"), {})
    films = {"movieId": "id", "title": "title", "genres": "genres"}
    items = read_files(folder, ["movies.csv"], Dialect(","), dict.fromkeys(films, "MovieLens"), {})
    frame = items.frame.rename(films).with_columns(pl.col("genres").replace("(no genres listed)", ""))
    counts: dict[str, int] = {}
    return _rated(
        folder, folder.resolve().name, _with(events, events.frame.rename(named)), _films(_with(items, frame), counts),
        None, counts,
    )  # fmt: skip


def film_lines(path: Path, columns: list[str]) -> pl.DataFrame:
    """A file of MovieLens 1M as text. Raises DataError."""
    return _lines(path, "::", columns).frame


def _lines(path: Path, separator: str, columns: list[str]) -> Source:
    """A headerless file with a separator of any length, in UTF-8 or Latin-1."""
    if not path.is_file():
        raise DataError(str(path), "is missing: unpack the whole MovieLens archive here")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    rows, lines = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        cells = line.rstrip("\r").split(separator)
        if len(cells) < len(columns):
            raise DataError(
                str(path), f"{len(cells)} columns, expected {len(columns)} separated by {separator!r}: mend the line",
                number,
            )  # fmt: skip
        rows.append(cells[: len(columns)])
        lines.append(number)
    by_column = list(zip(*rows, strict=True)) or [()] * len(columns)
    frame = pl.DataFrame([pl.Series(n, c, dtype=pl.String) for n, c in zip(columns, by_column, strict=True)])
    return Source(frame, (path,), (len(frame),), (Dialect(),), tuple(lines))


def _with(source: Source, frame: pl.DataFrame) -> Source:
    """The same rows with other columns."""
    return Source(frame, source.paths, source.lengths, source.dialects, source.lines)


def _films(source: Source, counts: dict[str, int]) -> EntityTable:
    year = pl.col("title").str.extract(r"\((\d{4})\)\s*$", 1).cast(pl.Float64).alias("year")
    dated = _with(source, source.frame.with_columns(year))
    return entity_table(dated, "id", _ITEM_KINDS, {"genres": "|"}, "items", counts)


def _people(source: Source, counts: dict[str, int]) -> EntityTable:
    return entity_table(source, "id", _USER_KINDS, {}, "users", counts)


def _rated(
    folder: Path, name: str, events: Source, items: EntityTable, users: EntityTable | None, counts: dict[str, int]
) -> Dataset:
    frame = events.frame

    def text(column: str) -> pl.Series:
        return texts(frame[column], lambda row, reason: events.fault(row, column, reason))

    columns = {
        "user": text("user"),
        "item": text("item"),
        "type": pl.Series(["rating"]).new_from_index(0, len(frame)),
        "value": numbers(frame["value"], lambda row, reason: events.fault(row, "rating", reason)),
        "time": times_us(frame["time"], lambda row, reason: events.fault(row, "timestamp", reason)),
    }
    return build(
        name=name, folder=folder, frame=pl.DataFrame(columns), has_times=True, items=items, users=users, tasks=TASKS,
        counts=counts,
    )  # fmt: skip
