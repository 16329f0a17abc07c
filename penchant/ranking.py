"""What the ranker reads of a user and the candidates, and how its task scores become one: the same code serves,
trains and evaluates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.bundle import Manifest
from penchant.events import OWN_CODES_FROM
from penchant.features import FeatureSchema
from penchant.features.kinds import DAY_US
from penchant.item_table import ItemTable, TagColumn
from penchant.leaves import Candidates, UserState
from penchant.types import Matrix, Rows, Vector

HISTORY_SIGNALS = ("value", "has_value", "log_age_days")
"""Columns of the history_signals input; log_age_days is 0 where the data set has no times."""
_RECENT = 5

Inputs = dict[str, NDArray[Any]]


def ranker_inputs(
    user: UserState,
    candidates: Candidates,
    table: ItemTable,
    schema: FeatureSchema,
    history_length: int,
    as_of_us: int,
) -> Inputs:
    """The ranker's inputs by name, for B candidates of one user.

    history_rows int64 [1, L] left-padded with 0, newest last; history_types int64 [1, L] event-type codes;
    history_signals float32 [1, L, 3], HISTORY_SIGNALS; user_dense float32 [1, Fu]; rows int64 [B], 0 for items the
    models do not know; item_dense [B, Fi]; retrieval [B, S]; pair_dense [B, Fp], schema.pair_dense_names.
    A user never written gets the features of nothing, not zeros.
    """
    rows = candidates.rows
    history = table.rows_of(user.history_keys[-history_length:]).astype(np.int64)
    known = np.where(history <= table.bundle_rows, history, 0)
    length = len(history)
    # States that were stored without the models' bounds, or with another bundle's, are read like any other.
    types = user.history_types[-history_length:]
    values = schema.usable_values(types, user.history_values[-history_length:])
    rows_L = np.zeros((1, history_length), np.int64)
    types_L = np.zeros((1, history_length), np.int64)
    signals_L = np.zeros((1, history_length, len(HISTORY_SIGNALS)), np.float32)
    if length:
        has_value = ~np.isnan(values)
        rows_L[0, -length:] = known
        # A type of a policy's own is one that no model has learnt.
        types_L[0, -length:] = np.where(types < OWN_CODES_FROM, types, 0)
        signals_L[0, -length:, 0] = np.where(has_value, values, 0.0)
        signals_L[0, -length:, 1] = has_value
        if schema.has_times:
            age = np.maximum(as_of_us - user.history_times[-history_length:], 0) / DAY_US
            signals_L[0, -length:, 2] = np.log1p(age)
    dense = user.dense
    if len(dense) == 0:
        slots = schema.empty_slots(1)
        counters = schema.counters_dense(slots, np.zeros(1, np.int64), as_of_us)[0]
        dense = np.zeros(len(schema.user_dense_names), np.float32)
        dense[: len(counters)] = counters
    return {
        "history_rows": rows_L,
        "history_types": types_L,
        "history_signals": signals_L,
        "user_dense": dense[None, :].astype(np.float32),
        "rows": np.where(rows <= table.bundle_rows, rows, 0).astype(np.int64),
        "item_dense": np.asarray(table.features[rows], np.float32),
        "retrieval": candidates.features,
        "pair_dense": pair_features(history, values, rows, table, schema),
    }


def feature_rows(inputs: Mapping[str, NDArray[Any]]) -> Matrix:
    """The dense features of ranker_inputs as rows float32 [B, Fu + Fi + S + Fp]: what trees and exposure logs read."""
    count = len(inputs["item_dense"])
    user = np.broadcast_to(inputs["user_dense"], (count, inputs["user_dense"].shape[1]))
    return np.concatenate([user, inputs["item_dense"], inputs["retrieval"], inputs["pair_dense"]], axis=1)


def slate_score(scores_BT: Matrix, tasks: Sequence[str], weights: Mapping[str, float]) -> Vector:
    """What the slate is ordered by, float32 [B]: task scores added up by weight; a task without weight counts 0.

    A model with a single output (the trees) orders by it, whatever the tasks.
    """
    if scores_BT.shape[1] == 1:
        return np.asarray(scores_BT[:, 0], np.float32)
    return np.asarray(scores_BT @ np.array([weights.get(task, 0.0) for task in tasks], np.float32), np.float32)


def with_new_lift(scores_B: Vector, rows: Rows, manifest: Manifest) -> Vector:
    """Slate scores of the ranker, where rows that came after the bundle are lifted as its manifest says."""
    if not manifest.new_lift:
        return scores_B
    return np.where(rows > manifest.item_count, scores_B + np.float32(manifest.new_lift), scores_B)


def pair_features(
    history: NDArray[np.int64], values: Vector, rows: Rows, table: ItemTable, schema: FeatureSchema
) -> Matrix:
    """How each candidate relates to the history [H] (rows, oldest first, 0 unknown), float32 [B, Fp]."""
    found = np.zeros((len(rows), 4 + 3 * len(schema.item_attributes)), np.float32)
    present = history > 0
    history, values = history[present], values[present]
    if len(history) == 0 or len(rows) == 0:
        return found
    vectors, seen = table.embeddings[rows], table.embeddings[history]
    seen = seen / _lengths(seen)
    liked = np.stack([seen.mean(axis=0), seen[-_RECENT:].mean(axis=0), seen[-1]], axis=1)
    np.divide(vectors @ liked, _lengths(vectors), out=found[:, :3])
    np.matmul(table.content[rows], table.content[history].mean(axis=0), out=found[:, 3])
    valued = ~np.isnan(values)
    centred = None
    if valued.any():
        mean = np.where(valued, values, 0.0).sum(dtype=values.dtype) / np.count_nonzero(valued)
        centred = np.where(valued, values - values.dtype.type(mean), 0.0)
    for i, name in enumerate(schema.item_attributes):
        column = table.tags.get(name)
        if column is not None:
            _tag_features(column, history, centred, rows, found[:, 4 + 3 * i : 7 + 3 * i])
    return found


def _lengths(vectors: Matrix) -> Matrix:
    """Of the rows, [n, 1]; of nothing almost 0, to be divided by."""
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None] + np.float32(1e-9), np.float32)


def _tag_features(
    column: TagColumn, history: NDArray[np.int64], centred: NDArray[Any] | None, rows: Rows, out: Matrix
) -> None:
    """affinity, value_affinity and last_match of one attribute: means over the candidate's tags."""
    size = len(column.vocabulary)
    codes, lengths = _tags_of(column, history)
    by_tag = np.zeros((size, 3))
    by_tag[:, 0] = np.bincount(codes, minlength=size) / len(history)
    if centred is not None:
        by_tag[:, 1] = np.bincount(codes, np.repeat(centred, lengths), minlength=size) / len(history)
    by_tag[codes[len(codes) - lengths[-1] :], 2] = 1.0
    tags, counts = _tags_of(column, rows.astype(np.int64))
    some = counts > 0
    if some.any():
        starts = (np.cumsum(counts) - counts)[some]
        out[some] = np.add.reduceat(by_tag.take(tags, axis=0), starts) / counts[some, None]


def _tags_of(column: TagColumn, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The tag codes of the rows, one row's after the other's; how many each has."""
    starts = column.indptr.take(rows)
    lengths = column.indptr.take(rows + 1) - starts
    ends = np.cumsum(lengths)
    index = np.arange(int(ends[-1])) + np.repeat(starts - ends + lengths, lengths)
    return column.codes.take(index).astype(np.int64), lengths
