"""The files of a generated dataset: what the reader reads, and the truth beside it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.generator.catalogue import FACTOR_DIM, SUCCESSORS, TOPIC_DIM, Catalogue, Numbers
from training.data.generator.output import TableWriter
from training.data.generator.people import AGE_BANDS, COUNTRIES, DEVICES, INTERESTS, People
from training.data.generator.sessions import Sessions
from training.data.generator.settings import GeneratorSettings
from training.data.generator.slates import COMMENT, SEARCH, THRESHOLD, TYPES, Rows, position_bias

_EXPOSURES = {
    "user": pl.String, "item": pl.String, "time": pl.Int64, "event": pl.String, "slate": pl.Int64,
    "position": pl.Int64, "session": pl.Int64,
}  # fmt: skip
_ACTS = {**_EXPOSURES, "text": pl.String}
_RELEVANCE = {"slate": pl.Int64, "position": pl.Int64, "log_odds": pl.Float32, "p_click": pl.Float32}
_SESSIONS = {
    "session": pl.Int64, "user": pl.String, "start_us": pl.Int64, "end_us": pl.Int64, "slates": pl.Int64,
    "interest": pl.Int64, "topic": pl.Int64, "shift_us": pl.Int64, "shift_topic": pl.Int64,
}  # fmt: skip
_TASTES = {
    "from_us": pl.Int64, "user": pl.String, "topics": pl.Array(pl.Int64, INTERESTS),
    "weights": pl.Array(pl.Float64, INTERESTS), "offset": pl.Array(pl.Float32, TOPIC_DIM),
}  # fmt: skip
_ENGAGED = ("click", "like", "purchase")


class DatasetWriter:
    """Streams rows into a folder that read_dataset reads."""

    def __init__(self, folder: Path, settings: GeneratorSettings, catalogue: Catalogue, people: People) -> None:
        self.folder = folder
        self.settings = settings
        self.catalogue = catalogue
        self.counts = dict.fromkeys(TYPES, 0)
        self.last_us = settings.start_us
        (folder / "truth").mkdir(parents=True)
        # One place more, which -1 finds: no item.
        self._item_ids = pl.Series([*catalogue.ids, None], dtype=pl.String)
        self._user_ids = pl.Series(people.ids)
        self._types = pl.Series(TYPES)
        self._acts = TableWriter(folder / f"events.{settings.format}", _ACTS)
        self._exposures = TableWriter(folder / f"exposures.{settings.format}", _EXPOSURES)
        self._relevance = TableWriter(folder / "truth" / "exposures.parquet", _RELEVANCE)
        self._sessions = TableWriter(folder / "truth" / "sessions.parquet", _SESSIONS)
        self._tastes = TableWriter(folder / "truth" / "tastes.parquet", _TASTES)
        self._write_items()
        self._write_people(people)
        self._write_world()

    @property
    def acts(self) -> int:
        """Acts written so far."""
        return self._acts.rows

    def write_rows(self, rows: Rows) -> None:
        """Append rows, in time order."""
        if len(rows) == 0:
            return
        self.last_us = int(rows.time[-1])
        for name, count in zip(TYPES, np.bincount(rows.type, minlength=len(TYPES)).tolist(), strict=True):
            self.counts[name] += count
        exposed = rows.exposed
        acts, shown = rows.take(~exposed), rows.take(exposed)
        self._acts.write({**self._columns(acts), "text": self._texts(acts)})
        if self.settings.exposures:
            self._exposures.write(self._columns(shown))
            self._relevance.write(
                {
                    "slate": shown.slate, "position": shown.position, "log_odds": shown.log_odds,
                    "p_click": shown.p_click,
                }
            )  # fmt: skip

    def write_sessions(self, sessions: Sessions) -> None:
        """Append what the sessions were after."""
        self._sessions.write({**sessions.columns(), "user": self._user_ids.gather(sessions.users)})

    def write_tastes(self, people: People, users: Numbers, from_us: int) -> None:
        """Append the tastes of users as they are from a time on."""
        self._tastes.write(
            {
                "from_us": np.full(len(users), from_us, np.int64), "user": self._user_ids.gather(users),
                "topics": people.interests[users], "weights": people.weights[users], "offset": people.offset[users],
            }
        )  # fmt: skip

    def close(self) -> None:
        """Finish every file."""
        writers = [self._acts, self._exposures, self._relevance, self._sessions, self._tastes]
        for writer in writers:
            writer.close()
        if not self.settings.exposures:
            self._exposures.path.unlink()
            self._relevance.path.unlink()

    def _columns(self, rows: Rows) -> dict[str, Any]:
        none = rows.slate < 0
        return {
            "user": self._user_ids.gather(rows.user), "item": self._item_ids.gather(rows.item), "time": rows.time,
            "event": self._types.gather(rows.type), "slate": _nullable(rows.slate, none),
            "position": _nullable(rows.position.astype(np.int64), none), "session": rows.session,
        }  # fmt: skip

    def _texts(self, rows: Rows) -> list[str | None]:
        """Searches name the topic with two of its words; comments use three, in no order."""
        texts: list[str | None] = [None] * len(rows)
        words = self.catalogue.topics.words
        for i in np.flatnonzero(np.isin(rows.type, (SEARCH, COMMENT))).tolist():
            own, pick = words[int(rows.topic[i])], int(rows.time[i] // 1_000_000)
            size = 2 if rows.type[i] == SEARCH else 3
            texts[i] = " ".join(own[(pick + 3 * k) % len(own)] for k in range(size))
        return texts

    def _write_items(self) -> None:
        items = self.catalogue
        columns: dict[str, Any] = {
            "item": items.ids, "category": [items.topics.category_names[c] for c in items.topics.category[items.topic]],
            "brand": items.brand, "price_band": items.price_band, "tags": items.tags, "price": items.price,
            "title": items.title, "description": items.description, "created": items.born_us, "ends": items.dies_us,
        }  # fmt: skip
        if self.settings.media:
            columns |= {
                "image": [f"media/{id_}.png" for id_ in items.ids], "sound": [f"media/{id_}.wav" for id_ in items.ids],
            }  # fmt: skip
        _write(pl.DataFrame(columns).sort("item"), self.folder / f"items.{self.settings.format}")
        truth = pl.DataFrame(
            {
                "item": items.ids, "topic": items.topic, "quality": items.quality,
                "factors": pl.Series(items.factors, dtype=pl.Array(pl.Float32, FACTOR_DIM)),
                "successors": pl.Series(
                    np.array(items.ids)[items.successors].tolist(), dtype=pl.Array(pl.String, SUCCESSORS)
                ),
            }
        )  # fmt: skip
        truth.sort("item").write_parquet(self.folder / "truth" / "items.parquet")
        topics = items.topics
        pl.DataFrame(
            {
                "topic": np.arange(len(topics.weight)), "category": topics.category, "weight": topics.weight,
                "centre": pl.Series(topics.centres, dtype=pl.Array(pl.Float32, TOPIC_DIM)),
                "neighbours": pl.Series(topics.neighbours, dtype=pl.Array(pl.Int64, 2)), "words": topics.words,
            }
        ).write_parquet(self.folder / "truth" / "topics.parquet")  # fmt: skip

    def _write_people(self, people: People) -> None:
        attributes = pl.DataFrame(
            {
                "user": people.ids, "age_band": np.array(AGE_BANDS)[people.age_band],
                "country": np.array(COUNTRIES)[people.country],
                "device": np.array(DEVICES)[people.device],
            }
        )  # fmt: skip
        _write(attributes, self.folder / f"users.{self.settings.format}")
        pl.DataFrame(
            {
                "user": people.ids, "activity": people.activity, "price_level": people.price_level,
                "style": pl.Series(people.style, dtype=pl.Array(pl.Float32, people.style.shape[1])),
                "joined_us": people.joined_us,
            }
        ).write_parquet(self.folder / "truth" / "users.parquet")  # fmt: skip

    def _write_world(self) -> None:
        (self.folder / "dataset.toml").write_text(_described(self.settings))
        world = {
            "settings": asdict(self.settings),
            "position_bias": position_bias(self.settings.slate_size).tolist(),
            "threshold": THRESHOLD,
        }
        (self.folder / "truth" / "world.json").write_text(json.dumps(world, indent=2) + "\n")


def _nullable(column: Numbers, none: NDArray[np.bool_]) -> pl.Series:
    return pl.DataFrame({"c": column, "none": none}).select(pl.when(~pl.col("none")).then(pl.col("c")).otherwise(None))[
        "c"
    ]


def _write(frame: pl.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)


def _described(settings: GeneratorSettings) -> str:
    ending = settings.format
    files = [f"events.{ending}"] + ([f"exposures.{ending}"] if settings.exposures else [])
    engaged = ", ".join(_ENGAGED)
    media = '\nimage = ["image"]\naudio = ["sound"]' if settings.media else ""
    return f"""\
# Generated: python -m training generate --users {settings.users} --items {settings.items} \
--events {settings.events} --days {settings.days} --seed {settings.seed}
name = "generated"

[events]
files = {json.dumps(files)}
user = "user"
item = "item"
time = "time"
type = {{ column = "event" }}
text = "text"
slate = "slate"
slate_position = "position"
session = "session"

[items]
files = ["items.{ending}"]
id = "item"
categorical = ["category", "brand", "price_band"]
multi = [{{ column = "tags", separator = "|" }}]
numeric = ["price"]
text = ["title", "description"]
created = "created"{media}

[users]
files = ["users.{ending}"]
id = "user"
categorical = ["age_band", "country", "device"]

[tasks]
click = "type in ({engaged})"
like = "type == like"
purchase = "type == purchase"
"""
