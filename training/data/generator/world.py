"""The world day by day: people come, walk through slates, drift; rows stream out in time order."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.errors import ConfigError
from training.data.generator.catalogue import DAY_US, Catalogue, Numbers, make_catalogue
from training.data.generator.media import write_media
from training.data.generator.people import People, make_people
from training.data.generator.sessions import Sessions, open_sessions, visits
from training.data.generator.settings import GeneratorSettings
from training.data.generator.slates import Market, Rows, Walk
from training.data.generator.write import DatasetWriter

_BATCH = 16_384
"""Sessions that walk in step: beyond this the arrays leave the processor's cache."""
_ACTS_A_SESSION = 7.0
"""A first guess; from the second day on it is measured."""


def generate(
    settings: GeneratorSettings, out: Path, progress: Callable[[int], None] = lambda acts: None
) -> dict[str, int]:
    """Write a dataset folder and return its counts. progress is called with the number of acts just written.

    Written beside `out` and moved there when whole. Raises ConfigError if `out` is there and not empty.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out} is there and not empty: name another folder or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        counts = _write(settings, partial, progress)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return counts


def _write(settings: GeneratorSettings, folder: Path, progress: Callable[[int], None]) -> dict[str, int]:
    world = np.random.default_rng([settings.seed, 1])
    catalogue = make_catalogue(settings, world)
    people = make_people(settings, catalogue.topics, world)
    writer = DatasetWriter(folder, settings, catalogue, people)
    days = Days(settings, catalogue, people, writer)
    writer.write_tastes(people, np.arange(len(people)), settings.start_us)
    while writer.acts < settings.events:
        before = writer.acts
        days.run_day()
        progress(writer.acts - before)
    writer.close()
    if settings.media:
        write_media(catalogue, folder / "media", settings.seed)
    return {
        "users": len(people), "items": len(catalogue), "sessions": days.session_count, "acts": writer.acts,
        "shifts": days.shift_count, **writer.counts,
    }  # fmt: skip


def _by_user(users: Numbers) -> Iterator[slice]:
    """Slices of about _BATCH visits, ascending by user; a user's visits stay together."""
    first = 0
    while first < len(users):
        end = int(np.searchsorted(users, users[min(first + _BATCH, len(users)) - 1], side="right"))
        yield slice(first, end)
        first = end


class Days:
    """What carries over from one day to the next."""

    def __init__(
        self, settings: GeneratorSettings, catalogue: Catalogue, people: People, writer: DatasetWriter
    ) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.people = people
        self.writer = writer
        self.day = 0
        self.session_count = 0
        self.shift_count = 0
        self._next_slate = 0
        self._acts_made = 0
        self._sessions_made = 0
        self._fashion: NDArray[np.float64] = np.zeros(len(catalogue.topics.weight))
        self._late: list[Rows] = []

    def run_day(self) -> None:
        """One day: rows up to its end are written, what runs over midnight is kept for the next day."""
        rng = np.random.default_rng([self.settings.seed, 2, self.day])
        day_us = self.settings.start_us + self.day * DAY_US
        people, topics = self.people, self.catalogue.topics
        if self.day:
            movers, _ = people.drift(rng, topics)
            self.writer.write_tastes(people, movers, day_us)
        self._fashion = 0.95 * self._fashion + 0.12 * rng.standard_normal(len(self._fashion))
        trend = topics.weight * np.exp(self._fashion)
        walk = Walk(self.catalogue, people, Market.of_day(self.catalogue, trend, day_us), self.settings.slate_size, rng)
        parts, days_sessions = self._late, []
        users, start_us = visits(people, self.day, day_us, self._wanted(), rng)
        for batch in _by_user(users):
            sessions = open_sessions(
                people, users[batch], start_us[batch], self._sessions_made, self.settings.shift_share,
                np.cumsum(trend), rng,
            )  # fmt: skip
            rows, self._next_slate = walk.run(sessions, self._next_slate)
            self._sessions_made += len(sessions)
            self._acts_made += sum(int((~part.exposed).sum()) for part in rows)
            parts += rows
            days_sessions.append(sessions)
        self._flush(parts, days_sessions, day_us + DAY_US)
        self.day += 1

    def _wanted(self) -> float:
        """Visits of the day, so that the acts asked for are reached on the last day."""
        per_session = self._acts_made / self._sessions_made if self._sessions_made > 20 else _ACTS_A_SESSION
        left = max(self.settings.events - self._acts_made, 0.02 * self.settings.events) * 1.02
        return max(left / max(self.settings.days - self.day, 1) / max(per_session, 0.1), 1.0)

    def _flush(self, parts: list[Rows], days_sessions: list[Sessions], end_us: int) -> None:
        if not parts:
            return
        rows = Rows.join(parts)
        rows = rows.take(np.argsort(rows.time, kind="stable"))
        due = int(np.searchsorted(rows.time, end_us))
        self._late, rows = [rows.take(np.arange(due, len(rows)))], rows.take(np.arange(due))
        acts = np.flatnonzero(~rows.exposed)
        missing = self.settings.events - self.writer.acts
        if len(acts) >= missing:
            rows = rows.take(np.arange(int(acts[missing - 1]) + 1))
        self.writer.write_rows(rows)
        finished = len(acts) >= missing
        for sessions in days_sessions:
            started = sessions.start_us <= self.writer.last_us if finished else np.ones(len(sessions), bool)
            kept = sessions.take(started)
            self.session_count += len(kept)
            self.shift_count += int((kept.shift_at >= 0).sum())
            self.writer.write_sessions(kept)
