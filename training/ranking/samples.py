"""Point-in-time samples: what the ranker would have read at each held-back moment, and what came of it.

Each user is replayed up to the moment, the first-stage retrieval proposes candidates as it would serve them, and
penchant.ranking computes what the ranker reads: nothing is computed otherwise than in serving.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.features import FeatureSchema, UserFeatures
from penchant.ids import key, keys
from penchant.item_table import ItemTable
from penchant.leaves import Candidates, UserState
from penchant.ranking import Inputs, ranker_inputs
from penchant.retrieval.features import RETRIEVAL_FEATURES
from penchant.retrieval.model import SOURCES, RetrievalModel
from penchant.types import Mask, Matrix, Vector
from training.data.dataset import Dataset
from training.evaluation.protocol import TENANT, TargetSet, event_columns, timelines, user_attributes
from training.ranking.recipe import RankingRecipe
from training.ranking.statistics import LOG_SHARES, RequestStatistics, statistics_of
from training.ranking.tasks import Task, outcomes

Progress = Callable[[int], None]
_CHUNK = 256
_UNFILLED = tuple(name for name in SOURCES if name != "popular")
_ALL = 100_000


@dataclass(frozen=True, slots=True)
class Stage:
    """A retrieval and the item table that goes with it, as of one time."""

    schema: FeatureSchema
    table: ItemTable
    retrieval: RetrievalModel
    user_vectors: Callable[[NDArray[np.int64]], Matrix]
    """history_rows [B, L], left-padded with 0, to user embeddings [B, D]."""


@dataclass(frozen=True, slots=True)
class Samples:
    """R requests of up to C candidates each, in retrieval order; places that are not used have row 0 and weight 0.

    item_dense is not held: it is the stage's table.features at rows. statistics are those of every candidate served,
    kept here or not.
    """

    events: NDArray[np.int64]
    """[R] the event of the data set that was to be predicted, or a slate's first exposure."""
    history_rows: NDArray[np.int64]
    history_types: NDArray[np.int64]
    history_signals: Matrix
    user_dense: Matrix
    """[R, Fu]"""
    rows: NDArray[np.int64]
    """[R, C]"""
    retrieval: Matrix
    pair_dense: Matrix
    weights: Matrix
    """[R, C] how many served candidates each stands for; 0 for one that is here for its labels alone."""
    statistics: RequestStatistics
    chosen: NDArray[np.int64]
    """[R] the place of what the user did next; -1 where it was not proposed, or the request is a slate."""
    labels: Matrix
    """[R, C, T] the data set's tasks; NaN where nothing is known."""
    positions: NDArray[np.int16]
    """[R, C] the place on the slate from 0 where one was shown; -1 elsewhere."""

    def __len__(self) -> int:
        return len(self.events)

    def inputs(self, request: int, places: NDArray[np.int64], features_NF: Matrix) -> Inputs:
        """Some candidates of one request as penchant.ranking.ranker_inputs gives them; features_NF: the stage's."""
        rows = self.rows[request, places]
        of_user = ("history_rows", "history_types", "history_signals", "user_dense")
        return {
            **{name: getattr(self, name)[[request]] for name in of_user},
            "rows": rows, "item_dense": np.asarray(features_NF[rows], np.float32),
            "retrieval": self.retrieval[request, places], "pair_dense": self.pair_dense[request, places],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """One user just before something happened, and what could have been proposed."""

    event: int
    """What it is known by."""
    user: UserState
    as_of_us: int
    history: NDArray[np.int64]
    allowed: Mask


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of some rows at a moment: labels [K, T]; chosen is the row that was done next, 0 for none.

    positions [K]: the places on the slate they were shown at; None where they were not.
    """

    rows: NDArray[np.int64]
    labels: Matrix
    chosen: int
    positions: NDArray[np.int16] | None = None


def collect(
    dataset: Dataset,
    stage: Stage,
    targets: NDArray[np.int64],
    slates: Sequence[NDArray[np.int64]],
    allowed: NDArray[np.bool_],
    tasks: Sequence[Task],
    recipe: RankingRecipe,
    whole: bool,
    seed: int,
    progress: Progress = lambda done: None,
) -> Samples:
    """Samples of the target events and of the shown slates (exposures each), by user and time.

    allowed [E]: events that labels may be taken from. whole keeps every candidate; else the hard_negatives best and
    drawn_negatives of the rest are kept, and those that are labelled. progress is told the moments just done.
    """
    known = _labelled(dataset, stage.table, targets, slates, allowed, tasks)
    unmasked = np.random.default_rng([seed, 1]).random(len(known)) < (0.0 if whole else recipe.unmasked_share)
    moments = _moments(dataset, stage, np.array(sorted(known), np.int64), unmasked)
    samples = fill(stage, moments, known, len(tasks), recipe, whole, seed, progress)
    if not slates:
        _acts_by_choice(samples, dataset, tasks, allowed)
    return samples


def fill(
    stage: Stage,
    moments: Iterator[Moment],
    known: Mapping[int, Sequence[Known]],
    tasks: int,
    recipe: RankingRecipe,
    whole: bool,
    seed: int,
    progress: Progress = lambda done: None,
) -> Samples:
    """A request for each thing known at each of the moments, by the moment's event; see collect."""
    width = recipe.candidates if whole else recipe.hard_negatives + recipe.drawn_negatives
    width += max((len(k.rows) for some in known.values() for k in some), default=1)
    samples = _empty(stage, sum(len(some) for some in known.values()), width, tasks)
    rng = np.random.default_rng(seed)
    at = 0
    for chunk in _chunks(moments):
        for moment, vector in zip(chunk, _vectors(stage, chunk), strict=True):
            for asked in known[moment.event]:
                _add(samples, at, stage, moment, vector, asked, recipe, whole, rng)
                at += 1
        progress(len(chunk))
    return samples


def moments_with_vectors(
    dataset: Dataset, stage: Stage, events: NDArray[np.int64]
) -> Iterator[tuple[Moment, Vector | None]]:
    """The moments just before events, and the user's embedding then; what the user has seen is not allowed."""
    for chunk in _chunks(_moments(dataset, stage, events, np.zeros(len(events), np.bool_))):
        yield from zip(chunk, _vectors(stage, chunk), strict=True)


def _labelled(
    dataset: Dataset,
    table: ItemTable,
    targets: NDArray[np.int64],
    slates: Sequence[NDArray[np.int64]],
    allowed: NDArray[np.bool_],
    tasks: Sequence[Task],
) -> dict[int, list[Known]]:
    """What is known at each moment, by its event."""
    item_rows = table.rows_of(keys(TENANT, dataset.item_ids)).astype(np.int64)
    items, places = dataset.events.items, dataset.events.slate_positions
    found: dict[int, list[Known]] = {}
    by_target = np.full((len(targets), len(tasks)), np.nan, np.float32)
    for t, task in enumerate(tasks):
        if task.kind != "act":
            by_target[:, t] = outcomes(dataset, task, targets, allowed)
    for i, event in enumerate(targets.tolist()):
        row = int(item_rows[items[event]])
        found.setdefault(event, []).append(Known(np.array([row]), by_target[[i]], row))
    if slates:
        shown = np.concatenate(slates)
        labels = np.full((len(shown), len(tasks)), np.nan, np.float32)
        for t, task in enumerate(tasks):
            if task.kind == "act":
                labels[:, t] = outcomes(dataset, task, shown, allowed)
        bounds = np.cumsum([len(s) for s in slates])[:-1]
        for slate, some in zip(slates, np.split(labels, bounds), strict=True):
            rows, first = np.unique(item_rows[items[slate]], return_index=True)
            shown_at = None if places is None else places[slate[first]]
            found.setdefault(int(slate[0]), []).append(Known(rows, some[first], 0, shown_at))
    return found


def _moments(
    dataset: Dataset, stage: Stage, events: NDArray[np.int64], unmasked: NDArray[np.bool_]
) -> Iterator[Moment]:
    """Each user replayed event by event, stopping just before each of the events.

    Where unmasked, items that the user has seen may be candidates.
    """
    shows_seen = dict(zip(events.tolist(), unmasked.tolist(), strict=True))
    columns = event_columns(dataset)
    everything = stage.table.allowed()
    users = dataset.events.users[events].astype(np.int64)
    order = np.lexsort((dataset.events.order[events], dataset.events.times[events], users))
    wanted = TargetSet(events[order], users[order], columns.item_keys[events[order]], "")
    for line in timelines(dataset, wanted):
        user_key = key(TENANT, dataset.user_ids[line.user])
        features = UserFeatures.empty(stage.schema)
        features.set_attributes(user_attributes(dataset, line.user))
        applied = 0
        for at in line.target_at.tolist():
            if at > applied:
                some = line.events[applied:at]
                features.apply_columns(
                    columns.item_keys[some], columns.types[some], columns.values[some], columns.times[some]
                )
            applied = at
            as_of_us = int(columns.times[line.events[at]])
            user = features.state(user_key, as_of_us)
            allowed = everything.copy()
            event = int(line.events[at])
            if not shows_seen[event]:
                allowed[stage.table.rows_of(user.seen_keys)] = False
            allowed[stage.table.rows_of(user.hidden_keys)] = False
            history = stage.table.rows_of(user.history_keys).astype(np.int64)
            yield Moment(event, user, as_of_us, history, allowed)


def _chunks(moments: Iterator[Moment]) -> Iterator[list[Moment]]:
    chunk: list[Moment] = []
    for moment in moments:
        chunk.append(moment)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _vectors(stage: Stage, chunk: list[Moment]) -> list[Vector | None]:
    """The user embedding of each moment, in one call of the tower; None without a history that it knows."""
    length = stage.retrieval.history_length
    padded = np.zeros((len(chunk), length), np.int64)
    for i, moment in enumerate(chunk):
        newest = moment.history[moment.history > 0][-length:]
        if len(newest):
            padded[i, -len(newest) :] = newest
    known = np.flatnonzero(padded.any(axis=1))
    vectors: list[Vector | None] = [None] * len(chunk)
    if len(known):
        for i, vector in zip(known.tolist(), stage.user_vectors(padded[known]), strict=True):
            vectors[i] = vector
    return vectors


def _empty(stage: Stage, count: int, width: int, tasks: int) -> Samples:
    schema, length = stage.schema, stage.retrieval.history_length
    pair, item, retrieved = len(schema.pair_dense_names), len(schema.item_dense_names), len(RETRIEVAL_FEATURES)

    def zeros(*shape: int) -> Matrix:
        return np.zeros((count, *shape), np.float32)

    return Samples(
        events=np.zeros(count, np.int64),
        history_rows=np.zeros((count, length), np.int64),
        history_types=np.zeros((count, length), np.int64),
        history_signals=zeros(length, 3),
        user_dense=zeros(len(schema.user_dense_names)),
        rows=np.zeros((count, width), np.int64),
        retrieval=zeros(width, retrieved),
        pair_dense=zeros(width, pair),
        weights=zeros(width),
        statistics=RequestStatistics(
            zeros(item + retrieved + pair), zeros(item + retrieved + pair), zeros(len(LOG_SHARES))
        ),
        chosen=np.full(count, -1, np.int64),
        labels=np.full((count, width, tasks), np.nan, np.float32),
        positions=np.full((count, width), -1, np.int16),
    )


def _add(
    samples: Samples,
    at: int,
    stage: Stage,
    moment: Moment,
    vector: Vector | None,
    known: Known,
    recipe: RankingRecipe,
    whole: bool,
    rng: np.random.Generator,
) -> None:
    """Fill request `at`."""
    served, _ = stage.retrieval.retrieve(moment.history, moment.allowed, recipe.candidates, user_vector=vector)
    inputs = _inputs(stage, moment, served)
    kept, weights = _kept(served.rows, known.rows, recipe, whole, rng)
    size = len(kept)
    samples.events[at] = moment.event
    for name in ("history_rows", "history_types", "history_signals", "user_dense"):
        getattr(samples, name)[at] = inputs[name][0]
    for array, row in zip(
        (samples.statistics.mean, samples.statistics.spread, samples.statistics.log_sums),
        statistics_of(inputs),
        strict=True,
    ):
        array[at] = row
    for name in ("rows", "retrieval", "pair_dense"):
        getattr(samples, name)[at, :size] = inputs[name][kept]
    samples.weights[at, :size] = weights
    if known.chosen:
        where = np.flatnonzero(inputs["rows"][kept] == known.chosen)
        samples.chosen[at] = where[0] if len(where) else -1
    informed = ~np.isnan(known.labels).all(axis=1) & moment.allowed[known.rows]
    missing = known.rows[informed & ~np.isin(known.rows, served.rows)]
    if len(missing):
        # Not proposed, yet its outcome is known: its features as they would be had the caller named it.
        asked, _ = stage.retrieval.retrieve(
            moment.history, moment.allowed, _ALL, _UNFILLED, missing.astype(np.uint32), user_vector=vector
        )
        found = np.flatnonzero(np.isin(asked.rows, missing))
        alone = Candidates(
            asked.rows[found], asked.scores[found], asked.source_bits[found], asked.features[found], asked.source_names
        )
        more = _inputs(stage, moment, alone)
        for name in ("rows", "retrieval", "pair_dense"):
            getattr(samples, name)[at, size : size + len(found)] = more[name]
        size += len(found)
    places = np.full(len(known.rows), -1, np.int16) if known.positions is None else known.positions
    for row, values, place in zip(known.rows[informed], known.labels[informed], places[informed], strict=True):
        here = samples.rows[at, :size] == row
        samples.labels[at, :size][here] = values
        samples.positions[at, :size][here] = place


def _inputs(stage: Stage, moment: Moment, candidates: Candidates) -> Inputs:
    return ranker_inputs(
        moment.user, candidates, stage.table, stage.schema, stage.retrieval.history_length, moment.as_of_us
    )


def _kept(
    rows: NDArray[np.uint32], wanted: NDArray[np.int64], recipe: RankingRecipe, whole: bool, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places of the candidates kept, ascending, and for how many each stands."""
    if whole or len(rows) <= recipe.hard_negatives + recipe.drawn_negatives:
        return np.arange(len(rows)), np.ones(len(rows), np.float32)
    stays = np.isin(rows, wanted)
    stays[: recipe.hard_negatives] = True
    rest = np.flatnonzero(~stays)
    drawn = rng.choice(rest, min(recipe.drawn_negatives, len(rest)), replace=False)
    weights = np.ones(len(rows), np.float32)
    weights[drawn] = len(rest) / max(len(drawn), 1)
    stays[drawn] = True
    kept = np.flatnonzero(stays)
    return kept, weights[kept]


def _acts_by_choice(samples: Samples, dataset: Dataset, tasks: Sequence[Task], allowed: NDArray[np.bool_]) -> None:
    """Without exposures an act's negatives are the candidates that were proposed and not chosen."""
    for t, task in enumerate(tasks):
        if task.kind != "act":
            continue
        samples.labels[:, :, t] = np.where(samples.weights > 0, 0.0, np.nan)
        found = np.flatnonzero(samples.chosen >= 0)
        samples.labels[found, samples.chosen[found], t] = outcomes(dataset, task, samples.events[found], allowed)
