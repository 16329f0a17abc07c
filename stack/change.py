"""What a few events do to one user's slate: asked before and after, and what moved."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penchant.answers import Slate
from penchant.client import Client
from penchant.errors import ProcessFailed
from penchant.text_table import text_table
from penchant.writes import EventWrite

_SLATE = 10
_LIKED = 4
_ANCHORS = 10


@dataclass(frozen=True, slots=True)
class Change:
    """Two slates of one user, and the events between them."""

    user_id: str
    events: tuple[tuple[str, str], ...]
    """(type, item id) in the order sent."""
    before: Slate
    after: Slate
    seconds: float
    """From the first event sent to the new slate received."""

    def numbers(self) -> dict[str, Any]:
        """For the JSON line."""
        old, new = _ids(self.before), _ids(self.after)
        return {
            "user": self.user_id,
            "events": [list(event) for event in self.events],
            "before": old,
            "after": new,
            "new": [i for i in new if i not in old],
            "left": [i for i in old if i not in new],
            "moved": [i for i in new if i in old and new.index(i) != old.index(i)],
            "events_to_slate_ms": round(self.seconds * 1000, 1),
        }

    def table(self, titles: Mapping[str, str]) -> str:
        """For people: the new slate with where each item was, then what left."""
        old, new = _ids(self.before), _ids(self.after)
        rows = [
            (str(place + 1), _was(old, item.item_id, place), _named(item.item_id, titles), " ".join(item.sources))
            for place, item in enumerate(self.after.items)
        ]
        rows += [("-", f"left, was {old.index(i) + 1}", _named(i, titles), "") for i in old if i not in new]
        return text_table(("now", "before", "item", "sources"), rows)


def make_change(client: Client, user_id: str, tasks: Sequence[str]) -> Change:
    """Ask, have the user like some items far from the slate and close to one another, and ask again.

    tasks: the bundle's; they say what a like is called in its data. Raises ProcessFailed if events are refused or the
    slate is empty.
    """
    before = client.recommend_items(_SLATE, user_id=user_id)
    if not before.items:
        raise ProcessFailed(f"the front door gave {user_id} an empty slate")
    liked = _away_from(client, _ids(before))
    session = uuid.uuid4().hex
    events = [_like(tasks, user_id, item, session) for item in liked]
    started = time.monotonic()
    written = client.write_events(events)
    if written.rejections:
        first = written.rejections[0]
        raise ProcessFailed(f"the front door refused an event: {first.field}: {first.reason}")
    after = client.recommend_items(_SLATE, user_id=user_id, token=written.position)
    seconds = time.monotonic() - started
    return Change(user_id, tuple((e.event_type, e.item_id) for e in events), before, after, seconds)


def _away_from(client: Client, slate: Sequence[str]) -> list[str]:
    """A popular item and its nearest neighbours: the first such group that shares nothing with the slate."""
    groups = []
    for anchor in _ids(client.recommend_items(_SLATE + _ANCHORS)):
        group = [anchor, *_ids(client.recommend_similar_items(anchor, _LIKED - 1))]
        groups.append(group)
        if not set(group) & set(slate):
            break
    return min(groups, key=lambda group: len(set(group) & set(slate)))


def _like(tasks: Sequence[str], user_id: str, item_id: str, session: str) -> EventWrite:
    event_type, value = ("rating", 5.0) if "rating" in tasks else ("like" if "like" in tasks else "click", None)
    return EventWrite(
        event_type=event_type, user_id=user_id, item_id=item_id, value=value, session_id=session,
        event_id=uuid.uuid4().hex,
    )  # fmt: skip


def _ids(slate: Slate) -> list[str]:
    return [item.item_id for item in slate.items]


def _was(old: Sequence[str], item_id: str, place: int) -> str:
    if item_id not in old:
        return "new"
    return "same" if old.index(item_id) == place else f"was {old.index(item_id) + 1}"


def _named(item_id: str, titles: Mapping[str, str]) -> str:
    return f"{item_id} {titles[item_id]}" if item_id in titles else item_id
