"""What the learner knows: a base data set, if there is one, and the log after it, as one bounded data set."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from penchant.errors import ConfigError
from penchant.events import EVENT_TYPES
from penchant.ids import MAX_ID_BYTES, key, keys
from penchant.leaves import HISTORY_LENGTH
from training.data.dataset import Attributes, Dataset, EventTable
from training.evaluation.protocol import TENANT
from training.learning.columns import Growing
from training.learning.described import attributes, extended, plain
from training.learning.records import Act, Described, Entry, Merged, Refused, Withheld

KEEP_EVENTS = 4_000_000
"""Newest events that a journal keeps; of older ones, each user's newest HISTORY_LENGTH that enter histories."""
_COLUMNS: dict[str, Any] = {
    "users": np.int32, "items": np.int32, "times": np.int64, "types": np.int8, "values": np.float32,
    "positions": np.int64, "slates": np.int64, "places": np.int16,
}  # fmt: skip
_Row = tuple[Any, ...]
"""Of the columns, in their order."""
_DEFAULT_TASKS = {name: f"type == {name}" for name in ("click", "like", "purchase", "play")}
_SHOWN = ("impression", "view")


@dataclass(frozen=True, slots=True)
class View:
    """A data set, and of each of its events the log position (0: of the base)."""

    dataset: Dataset
    positions: NDArray[np.int64]


def slate_number(recommendation_id: str) -> int:
    """The number of a slate in a data set: not negative, equal for equal ids."""
    return xxhash.xxh3_64_intdigest(recommendation_id.encode()) >> 1


class Journal:
    """Grows with add(), is read with view(). Memory is bounded by keep_events, users and items."""

    def __init__(self, base: Dataset | None, name: str = "log", keep_events: int = KEEP_EVENTS) -> None:
        self.name = base.name if base else name
        self.keep_events = keep_events
        self.position = 0
        """Of the newest event record taken in."""
        self.item_position = 0
        self.refused = Refused()
        self.withheld: set[int] = set()
        """Keys of users some of whose events were withheld."""
        self.trimmed = 0
        """Events forgotten to stay within keep_events."""
        self._base = base
        self._tasks = dict(base.tasks) if base else {}
        self._has_base = base is not None
        self._user_ids = list(base.user_ids) if base else []
        self._item_ids = list(base.item_ids) if base else []
        self._users = {id_: i for i, id_ in enumerate(self._user_ids)}
        self._items = {id_: i for i, id_ in enumerate(self._item_ids)}
        self._types = list(base.event_types) if base else []
        self._item_rows: dict[str, dict[str, Any]] = {}
        """Attributes of items written after the base, by id."""
        self._user_rows: dict[str, dict[str, Any]] = {}
        self._created: dict[str, int] = {}
        self._alias: dict[str, str] = {}
        self._merged_at: dict[str, int] = {}
        """Log position at which somebody was merged into a user last, by id."""
        self._columns = {name: Growing[Any](dtype, _start(base, name)) for name, dtype in _COLUMNS.items()}

    def __len__(self) -> int:
        return len(self._columns["users"])

    def add(self, entries: Iterable[Entry]) -> int:
        """Take in entries of the event log; how many acts were among them."""
        acts = 0
        rows: list[_Row] = []
        for entry in entries:
            match entry:
                case Act():
                    if (row := self._act(entry)) is not None:
                        rows.append(row)
                case Described():
                    self._user(entry.id)
                    self._user_rows[self.user_of(entry.id)] = dict(entry.attributes)
                case Withheld():
                    self.withheld.add(entry.user_key)
                    self.refused.add(entry.reason)
                case Merged():
                    acts += self._take_in(rows)
                    rows = []
                    self._merge(entry.source, entry.target, entry.position)
                case None:
                    self.refused.add("another tenant")
        acts += self._take_in(rows)
        self._trim()
        return acts

    def _take_in(self, rows: Sequence[_Row]) -> int:
        """Rows into the columns, many at a time; how many."""
        for column, values in zip(self._columns.values(), zip(*rows, strict=True), strict=False):
            column.extend(values)
        return len(rows)

    def add_items(self, entries: Iterable[Entry]) -> None:
        """Take in entries of the item log."""
        for entry in entries:
            if not isinstance(entry, Described):
                continue
            self._item(entry.id)
            self._item_rows[entry.id] = {} if entry.deleted else dict(entry.attributes)
            if entry.created_us:
                self._created[entry.id] = entry.created_us

    def _merge(self, source: str, target: str, position: int) -> None:
        """As the feature store does: who was merged before stays where they are, and there are no circles."""
        root = self.user_of(target)
        if source in self._alias or root == source:
            return
        self._alias[source] = target
        self._merged_at[root] = position
        if source in self._users:
            users = self._columns["users"].values
            users[users == self._users[source]] = self._user(target)
        if key(TENANT, source) in self.withheld:
            self.withheld.add(key(TENANT, root))

    def user_of(self, id_: str) -> str:
        """Whose acts an identity's are, after merges."""
        while id_ in self._alias:
            id_ = self._alias[id_]
        return id_

    def user_places(self) -> dict[int, int]:
        """The place in the view's user_ids of everyone whose key is known, merged identities included."""
        ids = [*self._user_ids, *(id_ for id_ in self._alias if id_ not in self._users)]
        found = {}
        for user_key, id_ in zip(keys(TENANT, ids).tolist(), ids, strict=True):
            place = self._users.get(self.user_of(id_))
            if place is not None:
                found[user_key] = place
        return found

    def withholds(self, user_key: int) -> bool:
        """Whether the running system knows more of a user than may be trained on."""
        return user_key in self.withheld

    def merges(self) -> dict[int, int]:
        """Log position of the last merge that somebody was part of, by key."""
        ids = [*self._merged_at, *self._alias]
        at = [self._merged_at[self.user_of(id_)] for id_ in ids]
        return dict(zip(keys(TENANT, ids).tolist(), at, strict=True))

    def count_after(self, position: int) -> int:
        """Acts of a later log position."""
        return int((self._columns["positions"].values > position).sum())

    def _user(self, id_: str) -> int:
        return _numbered(self.user_of(id_), self._users, self._user_ids)

    def _item(self, id_: str) -> int:
        return _numbered(id_, self._items, self._item_ids)

    def _act(self, act: Act) -> _Row | None:
        """Its row, in the order of _COLUMNS; None for one that names no item and should."""
        kind = EVENT_TYPES[act.type]
        if (kind.needs_item and not act.item) or len(act.item.encode()) > MAX_ID_BYTES:
            self.refused.add("no item")
            return None
        if act.type not in self._types:
            self._types.append(act.type)
        slate = slate_number(act.recommendation_id) if act.recommendation_id else -1
        item = self._item(act.item) if act.item else -1
        return (
            self._user(act.user), item, act.time_us, self._types.index(act.type), act.value, act.position, slate,
            act.slate_position,
        )  # fmt: skip

    def _trim(self) -> None:
        """Forget old events beyond keep_events, with a quarter of slack so that it happens rarely."""
        count = len(self)
        if count <= self.keep_events + self.keep_events // 4:
            return
        users = self._columns["users"].values
        by_type = np.array([EVENT_TYPES[name].in_history for name in self._types])
        history = by_type[self._columns["types"].values]
        order = np.flatnonzero(history)
        order = order[np.argsort(users[order], kind="stable")]
        from_end = np.searchsorted(users[order], users[order], side="right") - np.arange(len(order))
        kept = np.arange(count) >= count - self.keep_events
        kept[order[from_end <= HISTORY_LENGTH]] = True
        self.trimmed += count - int(kept.sum())
        for column in self._columns.values():
            column.keep(np.flatnonzero(kept))

    def view(self) -> View:
        """Everything taken in so far, sorted by (time, arrival)."""
        columns = {name: column.values for name, column in self._columns.items()}
        order = np.argsort(columns["times"], kind="stable")
        taken = {name: column[order] for name, column in columns.items()}
        shown_types = np.array([name in _SHOWN for name in self._types] or [False])
        impression = np.array([name == "impression" for name in self._types] or [False])
        shown = impression[taken["types"]] | (shown_types[taken["types"]] & (taken["places"] >= 0))
        events = EventTable(
            taken["users"], taken["items"], taken["times"], taken["types"], taken["values"], order.astype(np.int64),
            impressions=shown, slate_positions=taken["places"], slates=taken["slates"],
        )  # fmt: skip
        has_times = self._base.has_times if self._base else True
        dataset = Dataset(
            self.name, self._user_ids, self._item_ids, list(self._types), events, self._item_attributes(),
            self._user_attributes(), has_times, self.tasks, {}, Path(), self._created_us(),
        )  # fmt: skip
        return View(dataset, taken["positions"])

    @property
    def tasks(self) -> dict[str, str]:
        """The base's tasks; for a log alone a task an act that occurs."""
        if self._has_base:
            return self._tasks
        return {name: rule for name, rule in _DEFAULT_TASKS.items() if name in self._types}

    def _created_us(self) -> NDArray[np.int64] | None:
        base = self._base.created_us if self._base else None
        if base is None and not self._created:
            return None
        created = np.zeros(len(self._item_ids), np.int64)
        if base is not None:
            created[: len(base)] = base
        for id_, at in self._created.items():
            created[self._items[id_]] = at
        return created

    def _item_attributes(self) -> Attributes:
        base = self._base.items if self._base else Attributes()
        return extended(base, len(self._item_ids), {self._items[i]: row for i, row in self._item_rows.items()})

    def _user_attributes(self) -> Attributes:
        base = self._base.users if self._base else Attributes()
        return extended(base, len(self._user_ids), {self._users[i]: row for i, row in self._user_rows.items()})

    def save(self, folder: Path) -> None:
        """Write everything below a folder that is not there yet; it is there only when it is whole."""
        part = folder.with_name(f".{folder.name}.part")
        if part.exists():
            _remove(part)
        part.mkdir(parents=True)
        view = self.view()
        arrays = {name: column.values for name, column in self._columns.items()}
        np.savez(part / "events.npz", **arrays)  # type: ignore[arg-type]
        dataset = view.dataset
        if dataset.created_us is not None:
            np.save(part / "created.npy", dataset.created_us)
        state = {
            "name": self.name, "position": self.position, "item_position": self.item_position, "tasks": self.tasks,
            "has_times": dataset.has_times, "user_ids": self._user_ids, "item_ids": self._item_ids,
            "types": self._types, "alias": self._alias, "merged_at": self._merged_at,
            "withheld": sorted(self.withheld), "trimmed": self.trimmed,
            "refused": self.refused.counts, "has_base": self._has_base, "items": plain(dataset.items),
            "users": plain(dataset.users),
        }  # fmt: skip
        (part / "state.json").write_text(json.dumps(state))
        part.rename(folder)

    @classmethod
    def load(cls, folder: Path, keep_events: int = KEEP_EVENTS) -> "Journal":
        """Back from save(). Raises ConfigError for a folder that is none."""
        try:
            state = json.loads((folder / "state.json").read_text())
            with np.load(folder / "events.npz", allow_pickle=False) as file:
                arrays = {name: file[name] for name in _COLUMNS}
            created = np.load(folder / "created.npy") if (folder / "created.npy").exists() else None
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"{folder} cannot be read ({error}): remove the folder {folder.parent}; the learner then starts from "
                "the log"
            ) from None
        empty = EventTable(
            np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int8),
            np.empty(0, np.float32), np.empty(0, np.int64),
        )  # fmt: skip
        base = Dataset(
            state["name"], state["user_ids"], state["item_ids"], state["types"], empty, attributes(state["items"]),
            attributes(state["users"]), state["has_times"], state["tasks"], {}, Path(), created,
        )  # fmt: skip
        journal = cls(base, state["name"], keep_events)
        journal.position, journal.item_position = state["position"], state["item_position"]
        journal._merged_at = state["merged_at"]
        journal.withheld, journal.trimmed = set(state["withheld"]), state["trimmed"]
        journal.refused, journal._alias, journal._has_base = (
            Refused(state["refused"]),
            state["alias"],
            state["has_base"],
        )
        for name, dtype in _COLUMNS.items():
            journal._columns[name] = Growing(dtype, arrays[name])
        return journal


def _start(base: Dataset | None, name: str) -> NDArray[Any] | None:
    """The base's column in the order of arrival."""
    if base is None:
        return None
    events = base.events
    count = len(events)
    match name:
        case "positions":
            return np.zeros(count, np.int64)
        case "slates":
            return np.full(count, -1, np.int64) if events.slates is None else events.slates
        case "places":
            return np.full(count, -1, np.int16) if events.slate_positions is None else events.slate_positions
    return np.asarray(getattr(events, name))


def _numbered(id_: str, places: dict[str, int], ids: list[str]) -> int:
    place = places.get(id_)
    if place is None:
        place = places[id_] = len(ids)
        ids.append(id_)
    return place


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
