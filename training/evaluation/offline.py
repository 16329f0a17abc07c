"""Slates from a bundle without any server: the same pure functions that serving runs, over the same user states."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from penchant.boosts import asked_for, lowered
from penchant.bundle import Manifest, verify
from penchant.errors import ConfigError
from penchant.events import BUILT_IN
from penchant.features import FeatureSchema, UserFeatures
from penchant.features.entity import says_something
from penchant.ids import key
from penchant.item_table import Embed, ItemTable
from penchant.item_tower import open_item_tower
from penchant.leaves import Candidates, UserState
from penchant.ranking import feature_rows, ranker_inputs, slate_score, with_new_lift
from penchant.retrieval.index import open_search
from penchant.retrieval.model import RetrievalModel
from penchant.retrieval.text import text_vector
from penchant.sessions import Session, open_session
from penchant.types import Mask, Matrix, Rows, Vector
from training.data.dataset import Dataset
from training.data.split import Split, history_mask
from training.evaluation.baselines import best_of, first_allowed, popular_orders
from training.evaluation.classical import CLASSICAL, ClassicalModel
from training.evaluation.metrics import LIST_LENGTH, Lists, ndcg, ranks
from training.evaluation.protocol import (
    TENANT,
    EventColumns,
    TargetSet,
    event_columns,
    timelines,
    user_attributes,
)

MASKS = ("masked", "unmasked")
SYSTEMS = ("ranked", "retrieval", "co_visitation", "popularity", *CLASSICAL, "trees")
MAX_CANDIDATES = 500
"""Candidates ranked for one slate: the front door's default."""
_CHUNK = 256

Slates = dict[str, dict[str, Lists]]
"""By mask, then by system: int64 [T, LIST_LENGTH]."""


@dataclass(frozen=True, slots=True)
class OpenBundle:
    """A verified bundle with its sessions."""

    manifest: Manifest
    schema: FeatureSchema
    table: ItemTable
    retrieval: RetrievalModel
    tower: Callable[[NDArray[np.int64]], Matrix]
    tower_batches: bool
    embed: Embed
    """The item tower."""
    ranker: Session | None
    trees: Session | None


@dataclass(frozen=True, slots=True)
class Query:
    """One target's query: the user just before it, and what may be returned."""

    place: int
    user: UserState
    as_of_us: int
    history_rows: NDArray[np.int64]
    seen_rows: NDArray[np.int64]
    allowed: dict[str, Mask]


def open_bundle(folder: Path, index: str = "auto") -> OpenBundle:
    """Check and open a bundle. index is hnsw, exact or auto (hnsw from HNSW_FROM items up).

    Raises BundleMismatch for a bundle that is not what its manifest says.
    """
    manifest = verify(folder)
    table = ItemTable.open(folder)
    specs = manifest.models

    def session(name: str) -> Session | None:
        return open_session(folder, specs[name]) if name in specs else None

    tower_session = session("user_tower")
    if tower_session is None:
        raise ConfigError(f"bundle {manifest.version} holds no user_tower: train it with `python -m training fit`")
    tower_input = specs["user_tower"].inputs[0]

    def tower(history_rows: NDArray[np.int64]) -> Matrix:
        return tower_session({tower_input.name: history_rows})

    users = np.load(folder / "users" / "embeddings.npy", mmap_mode="r")
    search = open_search(folder, table.embeddings.base, users, index).search
    return OpenBundle(
        manifest,
        FeatureSchema.from_json(manifest.schema),
        table,
        RetrievalModel.open(folder, manifest, tower, search, table.embeddings, table.content),
        tower,
        tower_input.shape[0] == -1,
        open_item_tower(folder, manifest),
        session("ranker"),
        session("trees"),
    )


def evaluate_offline(
    bundle: OpenBundle,
    dataset: Dataset,
    split: Split,
    targets: TargetSet,
    systems: Sequence[str] = SYSTEMS,
    max_candidates: int = MAX_CANDIDATES,
    progress: Callable[[int], None] = lambda done: None,
    masks: Sequence[str] = MASKS,
) -> tuple[Slates, dict[str, str]]:
    """Slates of every system for every target, and why a system is missing, by its name.

    progress is called with the number of targets just done.
    """
    count = len(targets)
    present, missing = [], {}
    for system in systems:
        reason = _unavailable(system, bundle, dataset)
        if reason is None:
            present.append(system)
        else:
            missing[system] = reason
    classical: dict[str, ClassicalModel] = {}
    if CLASSICAL.keys() & set(present):
        interactions = _interactions(bundle.table, dataset, split)
        classical = {system: CLASSICAL[system].fit(interactions) for system in present if system in CLASSICAL}
    slates: Slates = {
        mask: {s: np.zeros((count, LIST_LENGTH), np.int64) for s in present if s != "popularity"} for mask in masks
    }
    orders = popular_orders(bundle.retrieval)
    popular = {mask: [np.zeros((count, LIST_LENGTH), np.int64) for _ in orders] for mask in masks}
    for chunk in chunks(queries(bundle, dataset, targets)):
        vectors = user_vectors(bundle, chunk)
        for query, vector in zip(chunk, vectors, strict=True):
            for mask in masks:
                for system, rows in _slates_of(bundle, query, vector, query.allowed[mask], present, max_candidates):
                    slates[mask][system][query.place, : len(rows)] = rows
                if "popularity" in present:
                    for window, order in enumerate(orders):
                        rows = first_allowed(order, query.allowed[mask])
                        popular[mask][window][query.place, : len(rows)] = rows
        if classical:
            _add_classical(slates, classical, chunk, bundle.table.row_count)
        progress(len(chunk))
    if "popularity" in present:
        target_rows = bundle.table.rows_of(targets.item_keys).astype(np.int64)
        for mask in masks:
            found = [float(ndcg(ranks(lists, target_rows), 10).mean()) if count else 0.0 for lists in popular[mask]]
            slates[mask]["popularity"] = best_of(popular[mask], found)
    return slates, missing


def _unavailable(system: str, bundle: OpenBundle, dataset: Dataset) -> str | None:
    if system == "ranked" and bundle.ranker is None:
        return "the bundle holds no ranker"
    if system == "trees" and bundle.trees is None:
        return "the bundle holds no trees"
    if system in CLASSICAL:
        return CLASSICAL[system].left_out(len(dataset.user_ids), bundle.table.bundle_rows)
    return None


def queries(bundle: OpenBundle, dataset: Dataset, targets: TargetSet) -> Iterator[Query]:
    """Each user replayed event by event, stopping before each target."""
    columns = event_columns(dataset)
    everything = bundle.table.allowed()
    for line in timelines(dataset, targets):
        user_key = key(TENANT, dataset.user_ids[line.user])
        features = UserFeatures.empty(bundle.schema)
        features.set_attributes(user_attributes(dataset, line.user))
        applied = 0
        for i, at in enumerate(line.target_at.tolist()):
            _apply(features, columns, line.events[applied:at])
            _add_texts(features, dataset, line.events[applied:at])
            applied = at
            as_of_us = int(columns.times[line.events[at]])
            yield _query(bundle.table, line.first_target + i, features.state(user_key, as_of_us), as_of_us, everything)


def _apply(features: UserFeatures, columns: EventColumns, index: NDArray[np.int64]) -> None:
    if len(index):
        features.apply_columns(
            columns.item_keys[index], columns.types[index], columns.values[index], columns.times[index]
        )


def _add_texts(features: UserFeatures, dataset: Dataset, index: NDArray[np.int64]) -> None:
    """Texts of events, as ingestion keeps them."""
    events = dataset.events
    if events.texts is None:
        return
    for i in index.tolist():
        text = str(events.texts[i])
        if says_something(text, BUILT_IN.get(dataset.event_types[events.types[i]])):
            features.add_text(text, int(events.times[i]))


def _query(table: ItemTable, place: int, user: UserState, as_of_us: int, everything: Mask) -> Query:
    history = table.rows_of(user.history_keys).astype(np.int64)
    seen = table.rows_of(user.seen_keys).astype(np.int64)
    unmasked = everything.copy()
    unmasked[table.rows_of(user.hidden_keys)] = False
    masked = unmasked.copy()
    masked[seen] = False
    return Query(place, user, as_of_us, history, seen[seen > 0], {"masked": masked, "unmasked": unmasked})


def chunks(queries: Iterator[Query]) -> Iterator[list[Query]]:
    """Queries in lists, so that the tower runs over several at once."""
    chunk: list[Query] = []
    for query in queries:
        chunk.append(query)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def user_vectors(bundle: OpenBundle, chunk: list[Query]) -> list[Vector | None]:
    """The tower's embedding of each query's user; None without a history the models know."""
    length = bundle.manifest.history_length
    padded = np.zeros((len(chunk), length), np.int64)
    for i, query in enumerate(chunk):
        known = query.history_rows[(query.history_rows > 0) & (query.history_rows <= bundle.table.bundle_rows)]
        newest = known[-length:]
        if len(newest):
            padded[i, -len(newest) :] = newest
    known_users = np.flatnonzero(padded.any(axis=1))
    vectors: list[Vector | None] = [None] * len(chunk)
    step = 32 if bundle.tower_batches else 1
    for start in range(0, len(known_users), step):
        some = known_users[start : start + step]
        for i, vector in zip(some.tolist(), bundle.tower(padded[some]), strict=True):
            vectors[i] = np.asarray(vector, np.float32)
    return vectors


def _slates_of(
    bundle: OpenBundle,
    query: Query,
    vector: Vector | None,
    allowed: Mask,
    systems: Sequence[str],
    max_candidates: int,
) -> Iterator[tuple[str, Rows]]:
    model = bundle.retrieval
    if {"ranked", "retrieval", "trees"} & set(systems):
        user, as_of_us, table = query.user, query.as_of_us, bundle.table
        text = text_vector(user.texts, as_of_us, table) if user.texts else None
        candidates, _ = model.retrieve(query.history_rows, allowed, max_candidates, user_vector=vector, text=text)
        if "retrieval" in systems:
            order = lowered(candidates.scores, table.keys_of(candidates.rows), user, BUILT_IN.weights, as_of_us)
            yield "retrieval", candidates.rows[top_k(order, LIST_LENGTH)]
        inputs: dict[str, NDArray[Any]] | None = None
        for system, session in (("ranked", bundle.ranker), ("trees", bundle.trees)):
            if system in systems and session is not None:
                if inputs is None:
                    inputs = inputs_of(bundle, query, candidates)
                scores = slate_score(session(inputs), bundle.manifest.tasks, bundle.manifest.task_weights)
                if system == "ranked":
                    scores = with_new_lift(scores, candidates.rows, bundle.manifest)
                scores = asked_for(scores, candidates.rows, user, table, as_of_us)
                scores = lowered(scores, table.keys_of(candidates.rows), user, BUILT_IN.weights, as_of_us)
                yield system, candidates.rows[top_k(scores, LIST_LENGTH)]
    if "co_visitation" in systems:
        lone, _ = model.retrieve(
            query.history_rows, allowed, LIST_LENGTH, sources=("co_visitation",), user_vector=vector
        )
        yield "co_visitation", lone.rows


def inputs_of(bundle: OpenBundle, query: Query, candidates: Candidates) -> dict[str, NDArray[Any]]:
    """What the ranker and the trees read of the candidates."""
    inputs = ranker_inputs(
        query.user, candidates, bundle.table, bundle.schema, bundle.manifest.history_length, query.as_of_us
    )
    return {**inputs, "features": feature_rows(inputs)}


def top_k(scores_B: Vector, k: int) -> NDArray[np.int64]:
    """Indices of the k best, best first; ties go to the earlier candidate, scores that are no number sink."""
    finite = np.where(np.isfinite(scores_B), scores_B, -np.inf)
    return np.argsort(-finite, kind="stable")[:k]


def _interactions(table: ItemTable, dataset: Dataset, split: Split) -> sparse.csr_matrix:
    """Zeros and ones [users, N+1] of the history events before the held-out part."""
    before = np.concatenate([split.train, split.valid])
    before = before[history_mask(dataset)[before]]
    rows = table.rows_of(event_columns(dataset).item_keys[before]).astype(np.int64)
    users = dataset.events.users[before]
    shape = (len(dataset.user_ids), table.bundle_rows + 1)
    matrix = sparse.coo_matrix((np.ones(len(rows), np.float32), (users, rows)), shape=shape).tocsr()
    matrix.data[:] = 1.0
    return matrix


def _add_classical(slates: Slates, classical: dict[str, ClassicalModel], chunk: list[Query], row_count: int) -> None:
    lengths = [len(query.seen_rows) for query in chunk]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    seen = np.concatenate([query.seen_rows for query in chunk])
    histories = sparse.csr_matrix((np.ones(len(seen), np.float32), seen, indptr), shape=(len(chunk), row_count))
    places = [query.place for query in chunk]
    allowed = {mask: np.stack([query.allowed[mask] for query in chunk]) for mask in slates}
    for system, model in classical.items():
        scores = model.scores(histories)
        for mask in slates:
            slates[mask][system][places] = top_lists(np.where(allowed[mask], scores, -np.inf))


def top_lists(scores_TN: Matrix) -> Lists:
    """The best LIST_LENGTH rows a list, best first, padded with 0; -inf is never listed; ties to the lower row."""
    count, rows = scores_TN.shape
    width = min(LIST_LENGTH, rows)
    best = np.sort(np.argpartition(-scores_TN, width - 1, axis=1)[:, :width], axis=1)
    values = np.take_along_axis(scores_TN, best, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    chosen = np.where(np.isneginf(values), 0, best)
    lists = np.zeros((count, LIST_LENGTH), np.int64)
    lists[:, :width] = np.take_along_axis(chosen, order, axis=1)
    return lists
