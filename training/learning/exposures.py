"""The exposure log joined to what came of it: real negatives and positives, with features as of the exposure.

A slate was read with the user's events up to the log position `events_applied_through`, so that is what the replay
applies: neither later events nor earlier ones that arrived later. An event belongs to a slate by the
recommendation_id that it echoes. A slate that no event echoes teaches nothing: nobody knows whether it was seen.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penchant.errors import LogError
from penchant.features import FeatureSchema, UserFeatures
from penchant.leaves import UserState
from penchant.ranking import feature_rows, ranker_inputs
from penchant.segments import read_segments
from penchant.types import Keys, Matrix, Vector
from penchant.v1 import log_pb2
from training.evaluation.offline import MAX_CANDIDATES, OpenBundle
from training.evaluation.protocol import TENANT, event_columns, user_attributes
from training.learning.journal import Journal, View, slate_number
from training.ranking.recipe import RankingRecipe
from training.ranking.samples import Known, Moment, Samples, Stage, fill
from training.ranking.tasks import ATTRIBUTION_US, Task

EXPOSURE_VERSION = 1
MAX_SLATES = 20_000
"""Newest slates that are held for joining; older ones are let go."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One slate of the exposure log; scores and item_keys in slate order."""

    slate: int
    """slate_number of its recommendation_id."""
    user_key: int
    as_of_us: int
    applied_through: int
    item_keys: Keys
    scores: Vector
    features: Matrix | None
    """The rows the ranker scored [K, F], for sampled requests."""
    bundle: str
    schema_fingerprint: str
    degraded: bool


def shown_of(position: int, payload: bytes) -> Shown | None:
    """One record; None for another tenant's, an evaluation's, or a stranger's. Raises LogError for a newer version."""
    record = log_pb2.ExposureRecord.FromString(payload)
    if record.schema_version != EXPOSURE_VERSION or record.key_id:
        raise LogError(
            f"exposure {position} is of version {record.schema_version} (key {record.key_id!r}), this program reads "
            f"plain records of version {EXPOSURE_VERSION}: run the newer program"
        )
    if record.tenant != TENANT or "evaluation" in record.context or record.user_key == 0:
        return None
    item_keys = np.frombuffer(record.item_keys, "<i8")
    features = np.frombuffer(record.features, "<f4").reshape(len(item_keys), -1) if record.features else None
    return Shown(
        slate_number(record.recommendation_id), record.user_key, record.as_of_us, record.events_applied_through,
        item_keys, np.frombuffer(record.scores, "<f4"), features, record.bundle, record.schema_fingerprint,
        bool(record.degraded_stages),
    )  # fmt: skip


class ExposureJournal:
    """The newest slates of an exposure log, or of each process's log in a folder of them."""

    def __init__(self, folder: Path | None, positions: Mapping[str, int] | None = None) -> None:
        """positions: by the name of each log, up to where its slates are not needed any more."""
        self.folder = folder
        self._read = dict(positions or {})
        self._held: list[tuple[str, int, Shown]] = []

    @property
    def held(self) -> list[Shown]:
        """Slates in the order of their time."""
        return [shown for _, _, shown in self._held]

    @property
    def positions(self) -> dict[str, int]:
        """From where to read again after a restart."""
        safe = dict(self._read)
        for name, position, _ in self._held:
            safe[name] = min(safe[name], position - 1)
        return safe

    def read(self) -> int:
        """Take in what came since; how many slates. Raises LogError for a damaged log."""
        count = 0
        for folder in _logs(self.folder):
            for position, payload in read_segments(folder, self._read.get(folder.name, 0) + 1):
                self._read[folder.name] = position
                shown = shown_of(position, payload)
                if shown is not None:
                    self._held.append((folder.name, position, shown))
                    count += 1
        self._held = sorted(self._held, key=lambda held: held[2].as_of_us)[-MAX_SLATES:]
        return count

    def remove_old(self, before_s: float) -> list[str]:
        """Remove whole logs of processes that have written nothing since a time; the names of those removed.

        Only logs in folders of their own, of which everything was read and nothing is still waiting to be joined.
        """
        waiting = {name for name, _, _ in self._held}
        removed = []
        for folder in _logs(self.folder):
            if folder == self.folder or folder.name in waiting or folder.name not in self._read:
                continue
            if max(path.stat().st_mtime for path in folder.iterdir()) < before_s:
                shutil.rmtree(folder)
                del self._read[folder.name]
                removed.append(folder.name)
        return removed

    def forget(self, before_us: int) -> None:
        """Let go of slates from before a time."""
        self._held = [held for held in self._held if held[2].as_of_us >= before_us]


@dataclass(frozen=True, slots=True)
class Join:
    """Slates that events echo, each with its user's place in the view's user_ids, in the order of their time."""

    view: View
    slates: tuple[Shown, ...]
    users: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.slates)


def join(journal: Journal, view: View, shown: Sequence[Shown], after_us: int, until_us: int) -> Join:
    """The slates after a time whose outcome is known by another, and that may be trained on without skew.

    Left out: users some of whose events were withheld, or who were merged since (the replay would hold more than the
    slate was read with), degraded slates, and slates whose impressions the screen reported: those are events.
    """
    events = view.dataset.events
    slates = events.slates if events.slates is not None else np.full(len(events), -1, np.int64)
    reported = np.zeros(len(events), np.bool_) if events.impressions is None else events.impressions
    echoed = set(np.unique(slates[(slates >= 0) & ~reported]).tolist())
    on_screen = set(np.unique(slates[(slates >= 0) & reported]).tolist())
    places, merges = journal.user_places(), journal.merges()
    chosen = [
        (one, places[one.user_key])
        for one in shown
        if one.as_of_us > after_us and one.as_of_us + ATTRIBUTION_US <= until_us and not one.degraded
        and one.slate in echoed and one.slate not in on_screen and one.user_key in places
        and not journal.withholds(one.user_key) and one.applied_through >= merges.get(one.user_key, 0)
    ]  # fmt: skip
    return Join(view, tuple(one for one, _ in chosen), tuple(user for _, user in chosen))


class PointInTime:
    """Users as the running system read them: by log position, not by time."""

    def __init__(self, view: View, schema: FeatureSchema) -> None:
        self._view = view
        self._schema = schema
        self._columns = event_columns(view.dataset)
        users = view.dataset.events.users
        self._order = np.argsort(users, kind="stable")
        self._users = users[self._order]

    def state(self, user: int, user_key: int, applied_through: int, as_of_us: int) -> UserState:
        """The user's state from every event up to a log position, aged to a time."""
        start, end = np.searchsorted(self._users, [user, user + 1])
        mine = self._order[start:end]
        mine = mine[self._view.positions[mine] <= applied_through]
        features = UserFeatures.empty(self._schema)
        features.set_attributes(user_attributes(self._view.dataset, user))
        if len(mine):
            columns = self._columns
            features.apply_columns(
                columns.item_keys[mine], columns.types[mine], columns.values[mine], columns.times[mine]
            )
        return features.state(user_key, as_of_us)


def moments(found: Join, stage: Stage) -> Iterator[Moment]:
    """The user just before each slate, known by its place in the join."""
    everything = stage.table.allowed()
    before = PointInTime(found.view, stage.schema)
    for i, (shown, user) in enumerate(zip(found.slates, found.users, strict=True)):
        state = before.state(user, shown.user_key, shown.applied_through, shown.as_of_us)
        allowed = everything.copy()
        for keys in (state.seen_keys, state.hidden_keys):
            allowed[stage.table.rows_of(keys)] = False
        history = stage.table.rows_of(state.history_keys).astype(np.int64)
        yield Moment(i, state, shown.as_of_us, history, allowed)


def samples_of(
    found: Join, stage: Stage, tasks: Sequence[Task], recipe: RankingRecipe, most: int, seed: int
) -> list[Samples]:
    """Ranking samples of at most `most` of the slates, drawn evenly; empty where there are none."""
    if len(found) > most:
        kept = np.sort(np.random.default_rng(seed).permutation(len(found))[:most]).tolist()
        found = Join(found.view, tuple(found.slates[i] for i in kept), tuple(found.users[i] for i in kept))
    if len(found) == 0:
        return []
    known = {}
    for i, (shown, labels) in enumerate(zip(found.slates, outcomes_of(found, tasks), strict=True)):
        rows, first = np.unique(stage.table.rows_of(shown.item_keys).astype(np.int64), return_index=True)
        known[i] = [Known(rows[rows > 0], labels[first][rows > 0], 0, first[rows > 0].astype(np.int16))]
    return [fill(stage, moments(found, stage), known, len(tasks), recipe, False, seed)]


def outcomes_of(found: Join, tasks: Sequence[Task]) -> list[Matrix]:
    """Labels [K, T] of each slate's items, from the events that echo it: acts 0 or 1, values NaN where none came."""
    events = found.view.dataset.events
    assert events.slates is not None
    item_keys = event_columns(found.view.dataset).item_keys
    order = np.argsort(events.slates, kind="stable")
    slates = events.slates[order]
    labels = []
    for shown in found.slates:
        start, end = np.searchsorted(slates, [shown.slate, shown.slate + 1])
        mine = order[start:end]
        table = np.full((len(shown.item_keys), len(tasks)), np.nan, np.float32)
        for t, task in enumerate(tasks):
            if task.kind == "act":
                table[:, t] = np.isin(shown.item_keys, item_keys[mine[task.labels[mine] == 1.0]])
                continue
            for event in mine[~np.isnan(task.labels[mine])].tolist():
                table[shown.item_keys == item_keys[event], t] = task.labels[event]
        labels.append(table)
    return labels


def replayed_rows(bundle: OpenBundle, moment: Moment, shown: Shown) -> Matrix | None:
    """What the ranker read of the slate's items [K, F], computed again; None where one is not proposed any more."""
    candidates, _ = bundle.retrieval.retrieve(moment.history, moment.allowed, MAX_CANDIDATES)
    rows = bundle.table.rows_of(shown.item_keys)
    place = {row: i for i, row in enumerate(candidates.rows.tolist())}
    if any(row not in place for row in rows.tolist()):
        return None
    inputs = ranker_inputs(
        moment.user, candidates, bundle.table, bundle.schema, bundle.manifest.history_length, moment.as_of_us
    )
    return feature_rows(inputs)[[place[row] for row in rows.tolist()]]


def skew(bundle: OpenBundle, found: Join, most: int = 100) -> tuple[int, float]:
    """How many logged slates of this bundle were computed again, and the largest difference from what was logged.

    Relative above 1, absolute below; the newest `most` slates with logged rows.
    """
    logged = [
        i for i, shown in enumerate(found.slates)
        if shown.features is not None and shown.bundle == bundle.manifest.version
        and shown.schema_fingerprint == bundle.manifest.schema_fingerprint
    ][-most:]  # fmt: skip
    some = Join(found.view, tuple(found.slates[i] for i in logged), tuple(found.users[i] for i in logged))
    stage = Stage(bundle.schema, bundle.table, bundle.retrieval, bundle.tower)
    count, worst = 0, 0.0
    for moment, shown in zip(moments(some, stage), some.slates, strict=True):
        again = replayed_rows(bundle, moment, shown)
        if again is None or shown.features is None:
            continue
        count += 1
        off = np.abs(again - shown.features) / np.maximum(np.abs(shown.features), 1.0)
        worst = max(worst, float(off.max(initial=0.0)))
    return count, worst


def _logs(folder: Path | None) -> list[Path]:
    if folder is None or not folder.is_dir():
        return []
    return sorted(path for path in (folder, *folder.iterdir()) if path.is_dir() and any(path.glob("*.segment")))
