"""python -m training.data.film_texts: MovieLens 1M joined with texts about its films, as a data set of its own.

--movielens holds movies.dat and users.dat, and either ratings.dat, as GroupLens ships them, or interactions.raw_ids.csv
with user_id, movie_id and pos, each user's order without stars and times. --texts is a JSON object from movie id to
text, such as the DBpedia abstracts that others have joined to MovieLens. What is written to --out is a folder with
dataset.toml; the terms of both sources go on to hold for it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from penchant.errors import DataError, PenchantError
from training.data.movielens import film_lines

_TOML = """name = "{name}"
[events]
files = ["events.parquet"]
user = "user"
item = "item"
{given}
[items]
files = ["items.parquet"]
id = "id"
text = ["title", "text"]
multi = ["genres"]
numeric = ["year"]
"""
_RATED = 'type = "rating"\ntime = "time"\nvalue = "value"\n[tasks]\nlike = "value >= 4"\nrating = "value"'
_ORDERED = 'type = "click"'


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m training.data.film_texts", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--movielens", type=Path, required=True, help="folder of MovieLens 1M")
    parser.add_argument("--texts", type=Path, required=True, help="JSON object: movie id to text")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    options = parser.parse_args(argv)
    try:
        written = join_texts(options.movielens, options.texts, options.out)
    except (PenchantError, OSError) as error:
        print(f"film_texts: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"out": str(options.out), **written}))
    return 0


def join_texts(movielens: Path, texts: Path, out: Path) -> dict[str, int]:
    """Write the folder; how many events, films and texts it has. Raises DataError naming the file."""
    films = film_lines(movielens / "movies.dat", ["id", "title", "genres"])
    by_film = _texts(texts)
    if (movielens / "ratings.dat").is_file():
        events = film_lines(movielens / "ratings.dat", ["user", "item", "value", "time"])
        events = events.with_columns(pl.col("value").cast(pl.Float64), pl.col("time").cast(pl.Int64))
        given = _RATED
    else:
        events = _ordered(movielens / "interactions.raw_ids.csv")
        given = _ORDERED
    items = films.with_columns(
        pl.col("title").str.extract(r"\((\d{4})\)\s*$", 1).cast(pl.Float64).alias("year"),
        pl.col("id").replace_strict(by_film, default="", return_dtype=pl.String).alias("text"),
    )
    out.mkdir(parents=True, exist_ok=True)
    events.write_parquet(out / "events.parquet")
    items.write_parquet(out / "items.parquet")
    (out / "dataset.toml").write_text(_TOML.format(name="ml-1m-texts", given=given))
    return {"events": len(events), "films": len(items), "texts": int((items["text"] != "").sum())}


def _texts(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(str(path), f"is no JSON ({error}): give an object from movie id to text") from None
    if not isinstance(found, dict) or not found or not all(isinstance(text, str) for text in found.values()):
        raise DataError(str(path), "is no object from movie id to text")
    return found


def _ordered(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise DataError(str(path), "is missing, and so is ratings.dat: give the folder of MovieLens 1M")
    frame = pl.read_csv(path, infer_schema=False)
    if not {"user_id", "movie_id", "pos"} <= set(frame.columns):
        raise DataError(str(path), f"has columns {frame.columns}: user_id, movie_id and pos are needed")
    ordered = frame.with_columns(pl.col("pos").cast(pl.Int64), pl.col("user_id").cast(pl.Int64)).sort("user_id", "pos")
    return ordered.select(user=pl.col("user_id").cast(pl.String), item="movie_id")


if __name__ == "__main__":
    sys.exit(main())
