"""What people do with the slates they are shown: the walk through a session, all sessions of a batch in step."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.generator.catalogue import DAY_US, SUCCESSORS, Catalogue, Factors, Numbers
from training.data.generator.people import INTERESTS, People
from training.data.generator.sessions import Sessions

TYPES = ("impression", "view", "search", "click", "like", "purchase", "hide", "comment", "share")
IMPRESSION, VIEW, SEARCH, CLICK, LIKE, PURCHASE, HIDE, COMMENT, SHARE = range(9)
THRESHOLD = 4.2
"""The relevance at which half of those who look at an item click it."""
SECOND_US = 1_000_000
_PAUSE_US = 31 * 60 * SECOND_US
_SPARE = 4
_SOURCES = {"topic": 8, "successors": 5, "interests": 2, "popular": 3, "neighbour": 1}
_AFTER_CLICK = ((LIKE, 0.2, 4), (PURCHASE, 0.08, 12), (COMMENT, 0.015, 8), (SHARE, 0.015, 6))
"""Act, chance at full satisfaction, seconds after the click."""


def position_bias(slate_size: int) -> NDArray[np.float64]:
    """Chance that a position of the slate is looked at, float64 [S]."""
    return np.asarray((1.0 + np.arange(slate_size)) ** -0.7, np.float64)


@dataclass(frozen=True, slots=True)
class Rows:
    """Acts and exposures in columns. item -1: none; slate -1 and position -1: not on a slate; topic: what a search is
    for. log_odds and p_click (of a click if looked at) are NaN but for exposures: the truth of what was shown.
    """

    time: Numbers
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    type: NDArray[np.int8]
    slate: Numbers
    position: NDArray[np.int16]
    session: Numbers
    topic: NDArray[np.int32]
    log_odds: NDArray[np.float32]
    p_click: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.time)

    @property
    def exposed(self) -> NDArray[np.bool_]:
        """Which rows say what was shown, the others what was done."""
        return np.asarray(self.type <= VIEW)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> "Rows":
        """The chosen rows."""
        return Rows(*(getattr(self, name)[index] for name in self.__slots__))

    @staticmethod
    def join(parts: "list[Rows]") -> "Rows":
        """One after the other."""
        return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__slots__))

    @staticmethod
    def of(
        time: Numbers,
        user: Numbers,
        type_: int | NDArray[np.int8],
        session: Numbers,
        item: Numbers | None = None,
        slate: Numbers | None = None,
        position: Numbers | None = None,
        topic: Numbers | None = None,
        log_odds: NDArray[np.floating] | None = None,
        p_click: NDArray[np.floating] | None = None,
    ) -> "Rows":
        """Rows of whatever is known of them."""
        count = len(time)

        def whole(column: Numbers | None, dtype: type[np.signedinteger]) -> NDArray[np.signedinteger]:
            return np.full(count, -1, dtype) if column is None else column.astype(dtype)

        def real(column: NDArray[np.floating] | None) -> NDArray[np.float32]:
            return np.full(count, np.nan, np.float32) if column is None else column.astype(np.float32)

        return Rows(
            time, user.astype(np.int32), whole(item, np.int32), np.broadcast_to(np.asarray(type_, np.int8), count),
            whole(slate, np.int64), whole(position, np.int16), session, whole(topic, np.int32), real(log_odds),
            real(p_click),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Market:
    """What is on offer on a day: running sums of the items' weights, and when that was."""

    running: NDArray[np.float64]
    day_us: int

    @classmethod
    def of_day(cls, catalogue: Catalogue, trend: NDArray[np.float64], day_us: int) -> "Market":
        """trend [T]: weight of each topic."""
        age_days = np.maximum(day_us - catalogue.born_us, 0) / DAY_US
        weight = np.exp(1.5 * catalogue.quality.astype(np.float64)) * (0.5 + np.exp(-age_days / 14.0))
        weight *= trend[catalogue.topic]
        on_offer = (catalogue.born_us < day_us + DAY_US) & (catalogue.dies_us > day_us)
        return cls(np.cumsum(np.where(on_offer, weight, 0.0)), day_us)

    def draw(self, topic: Numbers, first: Numbers, count: int, rng: np.random.Generator) -> Numbers:
        """`count` items of each topic [B], by weight, int64 [B, count]; any item where a topic has nothing on offer."""
        low = np.where(first[topic] > 0, self.running[first[topic] - 1], 0.0)
        high = np.where(first[topic + 1] > 0, self.running[first[topic + 1] - 1], 0.0)
        return self._at(low[:, None] + rng.random((len(topic), count)) * (high - low)[:, None])

    def draw_any(self, rows: int, count: int, rng: np.random.Generator) -> Numbers:
        """`count` popular items for each of so many rows."""
        return self._at(rng.random((rows, count)) * self.running[-1])

    def _at(self, place: NDArray[np.float64]) -> Numbers:
        return np.minimum(np.searchsorted(self.running, place, side="right"), len(self.running) - 1)


@dataclass(frozen=True, slots=True)
class Walk:
    """The walk of a batch of sessions."""

    catalogue: Catalogue
    people: People
    market: Market
    slate_size: int
    rng: np.random.Generator

    def run(self, sessions: Sessions, first_slate: int) -> tuple[list[Rows], int]:
        """Rows of all sessions and the number of the next slate. Sets the sessions' start_us, end_us and shift_us.

        All users walk in step; who is through with a session goes on to the next one of theirs, half an hour later
        at the earliest.
        """
        parts: list[Rows] = []
        users, people = sessions.users, self.people
        topic = sessions.topic.copy()
        done = np.zeros(len(sessions), np.int64)
        clock = np.maximum(sessions.start_us, people.free_from_us[users])
        at = np.flatnonzero(np.append(True, users[1:] != users[:-1])[: len(users)])
        sessions.start_us[at] = clock[at]
        while len(at):
            now_shifts = sessions.shift_at[at] == done[at]
            shifting = at[now_shifts]
            topic[shifting] = sessions.shift_topic[shifting]
            sessions.shift_us[shifting] = clock[shifting]
            searches = self.rng.random(len(at)) < np.where(now_shifts, 0.4, 0.04)
            looking = at[searches]
            parts.append(Rows.of(clock[looking], users[looking], SEARCH, sessions.ids[looking], topic=topic[looking]))
            clock[looking] += 4 * SECOND_US
            slate = first_slate + np.arange(len(at))
            first_slate += len(at)
            rows, clock[at] = self._slate(users[at], topic[at], clock[at], sessions.ids[at], slate, searches)
            parts += rows
            done[at] += 1
            over = at[done[at] == sessions.slates[at]]
            sessions.end_us[over] = clock[over]
            people.free_from_us[users[over]] = clock[over] + _PAUSE_US
            following = over[over + 1 < len(users)] + 1
            following = following[users[following] == users[following - 1]]
            clock[following] = np.maximum(sessions.start_us[following], people.free_from_us[users[following]])
            sessions.start_us[following] = clock[following]
            at = np.sort(np.concatenate([at[done[at] < sessions.slates[at]], following]))
        return parts, first_slate

    def _slate(
        self,
        users: Numbers,
        topic: Numbers,
        clock: Numbers,
        session: Numbers,
        slate: Numbers,
        searched: NDArray[np.bool_],
    ) -> tuple[list[Rows], Numbers]:
        """One slate for each of B users, and the time at which each is through with it."""
        rng = self.rng
        taste = self.people.taste(users, topic, self.catalogue.topics)
        items, log_odds = self._shown(users, topic, taste, clock, searched)
        count, size = items.shape
        on_slate = np.isfinite(log_odds)
        looks = on_slate & (rng.random((count, size)) < position_bias(size))
        p_click = np.where(on_slate, _chance(log_odds), 0.0)
        clicks = looks & (rng.random((count, size)) < p_click)
        lingers = looks & (clicks | (rng.random((count, size)) < 0.15 + 0.3 * p_click))
        spent = np.where(looks, 2.0 + rng.exponential(3.0, (count, size)), 0.0)
        spent += np.where(clicks, 20.0 + rng.exponential(40.0, (count, size)), 0.0)
        until = clock[:, None] + (np.cumsum(spent, axis=1) * SECOND_US).astype(np.int64)
        since = until - (spent * SECOND_US).astype(np.int64)
        at, place = np.nonzero(looks)
        parts = [
            Rows.of(
                since[at, place], users[at], np.where(lingers[at, place], VIEW, IMPRESSION).astype(np.int8),
                session[at], items[at, place], slate[at], place, log_odds=log_odds[at, place],
                p_click=p_click[at, place],
            )
        ]  # fmt: skip
        at, place = np.nonzero(clicks)
        clicked = items[at, place]
        time = since[at, place] + 2 * SECOND_US
        parts.append(Rows.of(time, users[at], CLICK, session[at], clicked, slate[at], place))
        pleased = p_click[at, place]
        for act, chance, delay_s in _AFTER_CLICK:
            does = rng.random(len(at)) < chance * pleased
            parts.append(
                Rows.of(
                    time[does] + delay_s * SECOND_US, users[at][does], act, session[at][does], clicked[does],
                    slate[at][does], place[does], topic[at][does] if act == COMMENT else None,
                )
            )  # fmt: skip
        self.people.mark_seen(users[at], clicked)
        self.people.last_item[users[at]] = clicked
        at, place = np.nonzero(looks & ~clicks & (rng.random((count, size)) < 0.03 * (1.0 - p_click) ** 2))
        parts.append(
            Rows.of(since[at, place] + SECOND_US, users[at], HIDE, session[at], items[at, place], slate[at], place)
        )
        self.people.mark_seen(users[at], items[at, place])
        return parts, until[:, -1] + SECOND_US

    def _shown(
        self, users: Numbers, topic: Numbers, taste: Factors, clock: Numbers, searched: NDArray[np.bool_]
    ) -> tuple[Numbers, Factors]:
        """The slate an imperfect recommender shows, best first by its own guess: items and their log-odds [B, S].

        The true log-odds of a click by one who looks; -inf where nothing is shown.
        """
        rng, catalogue, people = self.rng, self.catalogue, self.people
        first, count = catalogue.first, len(users)
        last = people.last_item[users]
        followed = catalogue.successors[last][
            np.arange(count)[:, None], rng.integers(0, SUCCESSORS, (count, _SOURCES["successors"]))
        ]
        interest = people.interests[users, rng.integers(0, INTERESTS, count)]
        beside = catalogue.topics.neighbours[topic, rng.integers(0, 2, count)]
        candidates = np.concatenate(
            [
                self.market.draw(topic, first, _SOURCES["topic"], rng),
                followed,
                self.market.draw(interest, first, _SOURCES["interests"], rng),
                self.market.draw_any(count, _SOURCES["popular"], rng),
                self.market.draw(beside, first, _SOURCES["neighbour"], rng),
            ],
            axis=1,
        )
        log_odds = np.einsum("bmd,bd->bm", catalogue.factors[candidates], taste) - THRESHOLD
        log_odds += catalogue.quality[candidates]
        age_days = (clock[:, None] - catalogue.born_us[candidates]) / DAY_US
        log_odds += (0.8 * np.exp(-np.maximum(age_days, 0.0) / 7.0)).astype(np.float32)
        follows = slice(_SOURCES["topic"], _SOURCES["topic"] + _SOURCES["successors"])
        log_odds[:, follows] += 1.2
        on_offer = (age_days >= 0) & (clock[:, None] < catalogue.dies_us[candidates])
        on_offer &= ~people.has_seen(users, candidates)
        on_offer[last < 0, follows] = False
        on_offer &= ~(searched[:, None] & (catalogue.topic[candidates] != topic[:, None]))
        log_odds[~on_offer] = -np.inf
        guess = 0.7 * log_odds + rng.gumbel(size=log_odds.shape)
        # Several sources may draw one item: a few more than the slate holds, so that it is full without repeats.
        chosen = np.argsort(-guess, axis=1)[:, : self.slate_size + _SPARE]
        items = np.take_along_axis(candidates, chosen, axis=1)
        shown = np.take_along_axis(log_odds, chosen, axis=1)
        for place in range(1, items.shape[1]):
            again = (items[:, :place] == items[:, place : place + 1]).any(axis=1)
            shown[again, place] = -np.inf
        gaps_last = np.argsort(np.isneginf(shown), axis=1, kind="stable")[:, : self.slate_size]
        return np.take_along_axis(items, gaps_last, axis=1), np.take_along_axis(shown, gaps_last, axis=1)


def _chance(log_odds: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), np.float64)
