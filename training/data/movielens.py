"""MovieLens 100k, 1M and latest, as GroupLens ships them (https://grouplens.org/datasets/movielens/)."""

from pathlib import Path

import polars as pl

from penchant.errors import DataError
from training.data.dataset import Dataset
from training.data.table import SECOND_US, build

TASKS = {"like": "value >= 4", "rating": "value"}


def _lines(path: Path, separator: str, columns: list[str]) -> pl.DataFrame:
    """A headerless file with a separator of any length, in Latin-1 or UTF-8."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        cells = line.split(separator)
        if len(cells) < len(columns):
            raise DataError(
                str(path), f"{len(cells)} columns, expected {len(columns)} separated by {separator!r}", number
            )
        rows.append(cells[: len(columns)])
    return pl.DataFrame(rows, schema=columns, orient="row")


def _years(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("title").str.extract(r"\((\d{4})\)", 1).cast(pl.Float64).alias("year"))


def _rated(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    numbers = frame.with_columns(
        pl.col("value").cast(pl.Float64, strict=False), pl.col("time").cast(pl.Int64, strict=False)
    )
    for column in ("value", "time"):
        bad = numbers[column].is_null().arg_true()
        if len(bad):
            at = int(bad[0])
            raise DataError(str(path), f"{frame[column][at]!r} is no number: mend or drop the line", at + 1, column)
    return numbers.with_columns(pl.col("time") * SECOND_US, pl.lit("rating").alias("type"))


def read_100k(folder: Path) -> Dataset:
    """u.data, u.item, u.user, u.genre."""
    events = _rated(folder / "u.data", _lines(folder / "u.data", "\t", ["user", "item", "value", "time"]))
    genres = [g for g, _ in _lines(folder / "u.genre", "|", ["name", "number"]).rows()]
    raw = _lines(folder / "u.item", "|", ["id", "title", "released", "video", "url", *genres])
    tagged = [("|".join(g for g, flag in zip(genres, r[5:], strict=True) if flag == "1")) for r in raw.rows()]
    items = _years(raw.select("id", "title").with_columns(pl.Series("genres", tagged)))
    users = _lines(folder / "u.user", "|", ["id", "age", "gender", "occupation"])
    return _build(folder, "ml-100k", events, items, _aged(users), ("age", "gender", "occupation"))


def read_1m(folder: Path) -> Dataset:
    """ratings.dat, movies.dat, users.dat."""
    path = folder / "ratings.dat"
    events = _rated(path, _lines(path, "::", ["user", "item", "value", "time"]))
    items = _years(_lines(folder / "movies.dat", "::", ["id", "title", "genres"]))
    users = _lines(folder / "users.dat", "::", ["id", "gender", "age", "occupation"])
    return _build(folder, "ml-1m", events, items, users, ("age", "gender", "occupation"))


def read_latest(folder: Path) -> Dataset:
    """ratings.csv, movies.csv."""
    path = folder / "ratings.csv"
    raw = pl.read_csv(path, infer_schema=False)
    wanted = ["userId", "movieId", "rating", "timestamp"]
    if raw.columns[:4] != wanted:
        raise DataError(str(path), f"the header is {raw.columns}, expected {wanted}", 1)
    events = _rated(path, raw.rename(dict(zip(wanted, ["user", "item", "value", "time"], strict=True))))
    movies = pl.read_csv(folder / "movies.csv", infer_schema=False)
    items = _years(movies.rename({"movieId": "id"})).with_columns(
        pl.col("genres").str.replace(r"^\(no genres listed\)$", "")
    )
    return _build(folder, folder.name, events, items, None, ())


def _aged(users: pl.DataFrame) -> pl.DataFrame:
    decade = (pl.col("age").cast(pl.Int64, strict=False) // 10 * 10).cast(pl.String)
    return users.with_columns(decade.fill_null("").alias("age"))


def _build(
    folder: Path, name: str, events: pl.DataFrame, items: pl.DataFrame, users: pl.DataFrame | None, of: tuple[str, ...]
) -> Dataset:
    return build(
        name=name,
        folder=folder,
        frame=events,
        has_times=True,
        item_frame=items,
        item_kinds={"title": "text", "genres": "multi", "year": "numeric"},
        user_frame=users,
        user_kinds=dict.fromkeys(of, "categorical"),
        separators={"genres": "|"},
        tasks=TASKS,
        counts={},
    )
