"""python -m benchmarks.floor: what a slate costs with nothing around it, in one process and one thread.

The very same work: the user's features from Redis in Feast's layout, the tower (unless the history is as it was), 300
neighbours by HNSW and the heaviest followers up to 500, the ranker's inputs and its graph, 20 by MMR. No gRPC, no
protobuf, no deadlines, no filters but the seen, no live trend, no new items, no exposures, no counters. Written apart
from the services, as plainly and quickly as numpy allows: what they cost beyond it is theirs to answer for.

Started by benchmarks.slates, which says whose slates; the last line of its output is JSON.
"""

import argparse
import gc
import json
import os
import socket
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hiredis
import numpy as np
from numpy.typing import NDArray

from penchant.bundle import Manifest, ModelSpec, read_manifest
from penchant.errors import StoreUnavailable
from penchant.features import STORED_USER_FEATURES, FeatureSchema
from penchant.features.plan import Plan
from penchant.item_table import ItemTable
from penchant.retrieval import CoVisitation, RetrievalSettings
from penchant.retrieval.index import INDEX_FILE, open_search
from services.feature_store import varint
from services.feature_store.connection import RedisAddress, command

REDIS_VARIABLE = "PENCHANT_FLOOR_REDIS"
CANDIDATES = 500
_DAY_US = 86_400_000_000
_INTEGERS = ("history_keys", "history_times", "history_types", "seen_keys", "hidden_keys", "state_time_us")
_FIELDS = (*_INTEGERS, "history_values", "counters_state")
_POOL = 200
_KEPT = 20_000
"""Users whose vector is remembered."""
Array = NDArray[Any]


class Features:
    """One user's features by one HMGET on a blocking socket."""

    def __init__(self, plan: Plan, url: str) -> None:
        by_name = {f.name: f"{f.view}:{f.name}" for f in STORED_USER_FEATURES}
        fields = [plan.features[by_name[name]].field_bytes for name in _FIELDS]
        view = plan.views["user_sequences"]
        whole = command("HMGET", view.key_prefix + bytes(8) + plan.project.encode(), *fields)
        at = whole.index(view.key_prefix) + len(view.key_prefix)
        self._before, self._after = whole[:at], whole[at + 8 :]
        address = RedisAddress.parse(url)
        self._socket = socket.create_connection((address.host, address.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()
        if address.password:
            self._ask(command("AUTH", address.password))
        self._ask(command("SELECT", address.database))

    def of(self, user_key: int) -> tuple[list[bytes], dict[str, Array]]:
        """The cells as stored, and as arrays."""
        cells = self._ask(self._before + user_key.to_bytes(8, "little", signed=True) + self._after)
        cells = [cell or b"" for cell in cells]
        payloads = [_payload(cell) for cell in cells[:5]] + [cells[5][1:]]
        joined = b"".join(payloads)
        numbers = varint.decode(joined)
        ends = np.cumsum([len(payload) for payload in payloads])
        counts = np.concatenate([[0], np.cumsum(np.frombuffer(joined, np.uint8) < 0x80)])[ends].tolist()
        found: dict[str, Array] = {
            name: numbers[start:end] for name, start, end in zip(_INTEGERS, [0, *counts[:-1]], counts, strict=True)
        }
        found["history_values"] = np.frombuffer(_payload(cells[6], 2), np.float32)
        found["counters_state"] = np.frombuffer(_payload(cells[7]), np.float64)
        return cells, found

    def _ask(self, request: bytes) -> Any:
        self._socket.sendall(request)
        while (answer := self._reader.gets()) is False:
            data = self._socket.recv(1 << 20)
            if not data:
                raise StoreUnavailable("Redis closed the connection")
            self._reader.feed(data)
        return answer


def _payload(cell: bytes, tag: int = 1) -> bytes:
    """The packed elements of a stored array."""
    if len(cell) <= tag + 1:
        return b""
    _, at = varint.read_one(cell, tag)
    _, at = varint.read_one(cell, at + 1)
    return cell[at:]


class Floor:
    """Slates out of one bundle."""

    def __init__(self, folder: Path, features: Features) -> None:
        manifest = read_manifest(folder)
        self.features = features
        self.schema = FeatureSchema.from_json(manifest.schema)
        self.settings = RetrievalSettings.from_json(manifest.retrieval)
        self.length = manifest.history_length
        table = ItemTable.open(folder)
        self.keys = table.keys[1:]
        self.embeddings, self.content = table.embeddings.base, table.content.base
        self.item_dense = table.features.base
        self.norms = np.linalg.norm(self.embeddings, axis=1) + np.float32(1e-9)
        self.tags = [_padded(table, name) for name in self.schema.item_attributes]
        self.follows = CoVisitation.open(folder / "retrieval")
        self.popular = np.load(folder / "retrieval" / "popular.scores.npy")
        self.trend = np.load(folder / "retrieval" / "trend.scores.npy")
        self.most_popular = np.argsort(-self.popular[1:], kind="stable")[:2000] + 1
        opened = open_search(folder, self.embeddings, np.load(folder / "users" / "embeddings.npy"))
        self.breadth = opened.breadth
        self.index = _index(folder, manifest.embedding_dim) if opened.kind == "hnsw" else None
        self.tower = _session(folder, manifest.models["user_tower"])
        self.ranker = _session(folder, manifest.models["ranker"])
        self.wanted = {tensor.name for tensor in manifest.models["ranker"].inputs}
        self.task_weights = _task_weights(manifest)
        self.remembered: OrderedDict[int, tuple[bytes, Array, Array, Array, Array, Array]] = OrderedDict()
        self.hits = 0

    def slate(self, user_key: int, now_us: int, k: int = 20) -> Array:
        """Rows of the slate."""
        cells, user = self.features.of(user_key)
        history = self._rows(user["history_keys"][-self.length :])
        known = history[history > 0]
        vector, followed, mass, last_followed, last_mass = self._of_history(user_key, cells[0], known)
        unwanted = self._rows(np.concatenate([user["seen_keys"], user["hidden_keys"]]))
        rows = self._candidates(vector, followed, mass, unwanted, len(known) > 0)
        vectors = self.embeddings[rows]
        feed: dict[str, Array] = {"rows": rows, "item_dense": self.item_dense[rows]}
        content = self.content[rows]
        feed["retrieval"] = self._retrieval(
            rows, vectors, content, vector, followed, mass, last_followed, last_mass, known
        )
        if "pair_dense" in self.wanted:
            feed["pair_dense"] = self._pairs(rows, vectors, content, history, user["history_values"][-self.length :])
        feed |= self._of_user(user, history, now_us)
        scores = self.ranker.run(None, {name: feed[name] for name in self.wanted})[0] @ self.task_weights
        return rows[_mmr(scores, vectors / self.norms[rows, None], k)]

    def _rows(self, keys: Array) -> Array:
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place + 1, 0)

    def _of_history(self, user_key: int, raw: bytes, known: Array) -> tuple[Array, Array, Array, Array, Array]:
        """The tower's vector and co-visitation, remembered while the history is the same."""
        held = self.remembered.get(user_key)
        if held is not None and held[0] == raw:
            self.hits += 1
            self.remembered.move_to_end(user_key)
            return held[1:]
        padded = np.zeros((1, self.length), np.int64)
        if len(known):
            padded[0, -len(known) :] = known
        vector = self.tower.run(None, {self.tower.get_inputs()[0].name: padded})[0][0]
        found = (vector, *self._followers(known[-50:]), *self._followers(known[-1:]))
        self.remembered[user_key] = (raw, *found)
        if len(self.remembered) > _KEPT:
            self.remembered.popitem(last=False)
        return found

    def _followers(self, newest: Array) -> tuple[Array, Array]:
        newest = newest[::-1]
        decay = np.exp2(-np.arange(len(newest)) / self.settings.history_half_life)
        starts, ends = self.follows.indptr[newest], self.follows.indptr[newest + 1]
        lengths = ends - starts
        total = int(lengths.sum())
        if total == 0:
            return np.empty(0, np.uint32), np.empty(0, np.float32)
        index = np.arange(total) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
        weights = self.follows.weights[index] * np.repeat(decay / decay.sum(), lengths)
        targets = self.follows.targets[index]
        order = np.argsort(targets, kind="stable")
        targets = targets[order]
        first = np.flatnonzero(np.concatenate([[True], targets[1:] != targets[:-1]]))
        return targets[first], np.add.reduceat(weights[order], first).astype(np.float32)

    def _candidates(self, vector: Array, followed: Array, mass: Array, unwanted: Array, known: bool) -> Array:
        """300 by the graph, the heaviest followers after them, popular ones if that is not enough."""
        parts = []
        if known:
            parts.append(self._nearest(vector, min(self.settings.quotas["two_tower"] + len(unwanted), len(self.keys))))
            heavy = min(2 * CANDIDATES, len(followed))
            parts.append(followed[np.argpartition(-mass, heavy - 1)[:heavy]] if heavy else followed)
        rows = self._wanted(np.concatenate([*parts, np.empty(0, np.int64)]), unwanted)
        if len(rows) < CANDIDATES:
            rows = self._wanted(np.concatenate([rows, self.most_popular]), unwanted)
        return rows[:CANDIDATES].astype(np.int64)

    def _nearest(self, vector: Array, k: int) -> Array:
        if self.index is None:
            scores = self.embeddings[1:] @ vector
            near = np.argpartition(-scores, k - 1)[:k]
            return near[np.argsort(-scores[near])] + 1
        self.index.set_ef(max(self.breadth * k, 200))
        return np.asarray(self.index.knn_query(vector[None], k=k)[0][0], np.int64)

    def _wanted(self, rows: Array, unwanted: Array) -> Array:
        """Each row once, where it came first, without the unwanted."""
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        again = np.concatenate([[False], ascending[1:] == ascending[:-1]])
        keep = np.ones(len(rows), np.bool_)
        keep[order[again]] = False
        keep &= ~np.isin(rows, unwanted)
        return rows[keep]

    def _retrieval(
        self, rows: Array, vectors: Array, content: Array, vector: Array, followed: Array, mass: Array,
        last_followed: Array, last_mass: Array, known: Array,
    ) -> Array:  # fmt: skip
        s = self.settings
        found = np.zeros((len(rows), 7), np.float32)
        found[:, 1] = vectors @ vector
        found[:, 2] = np.log(_looked_up(rows, followed, mass) + s.floor)
        found[:, 3] = np.log(_looked_up(rows, last_followed, last_mass) + s.floor)
        found[:, 4] = self.popular[rows]
        if len(known):
            found[:, 5] = content @ self.content[known[-5:]].mean(axis=0)
        found[:, 0] = s.tower_weight * found[:, 1] + (1 - s.tower_weight) * found[:, 2]
        found[:, 0] += s.trend_weight * self.trend[rows]
        place = np.empty(len(rows), np.int64)
        place[np.argsort(-found[:, 0])] = np.arange(len(rows))
        found[:, 6] = 1.0 / np.sqrt(1.0 + place)
        return found

    def _pairs(self, rows: Array, vectors: Array, content: Array, history: Array, values: Array) -> Array:
        found = np.zeros((len(rows), 4 + 3 * len(self.tags)), np.float32)
        present = history > 0
        history, values = history[present], values[present]
        if len(history) == 0:
            return found
        seen = self.embeddings[history] / self.norms[history, None]
        likes = np.stack([seen.mean(axis=0), seen[-5:].mean(axis=0), seen[-1]], axis=1)
        found[:, :3] = (vectors @ likes) / self.norms[rows, None]
        found[:, 3] = content @ self.content[history].mean(axis=0)
        valued = ~np.isnan(values)
        centred = np.where(valued, values - values[valued].mean(), 0.0) if valued.any() else None
        for i, (codes, counts, size) in enumerate(self.tags):
            mine = codes[history]
            profile = np.zeros((size + 1, 3))
            profile[:, 0] = np.bincount(mine.ravel(), minlength=size + 1) / len(history)
            if centred is not None:
                weights = np.repeat(centred, mine.shape[1])
                profile[:, 1] = np.bincount(mine.ravel(), weights, minlength=size + 1) / len(history)
            profile[mine[-1], 2] = 1.0
            profile[size] = 0.0
            found[:, 4 + 3 * i : 7 + 3 * i] = profile[codes[rows]].sum(axis=1) / counts[rows, None]
        return found

    def _of_user(self, user: dict[str, Array], history: Array, now_us: int) -> dict[str, Array]:
        length = len(history)
        rows, types = np.zeros((2, 1, self.length), np.int64)
        signals = np.zeros((1, self.length, 3), np.float32)
        if length:
            rows[0, -length:] = history
            types[0, -length:] = user["history_types"][-length:]
            values = user["history_values"][-length:]
            has_value = ~np.isnan(values)
            signals[0, -length:, 0] = np.where(has_value, values, 0.0)
            signals[0, -length:, 1] = has_value
            if self.schema.has_times:
                signals[0, -length:, 2] = np.log1p(np.maximum(now_us - user["history_times"][-length:], 0) / _DAY_US)
        slots = self.schema.slots_of(user["counters_state"])
        slots = self.schema.empty_slots(1) if slots is None else slots[None]
        dense = np.zeros((1, len(self.schema.user_dense_names)), np.float32)
        counters = self.schema.counters_dense(slots, user["state_time_us"][:1], now_us)
        dense[:, : counters.shape[1]] = counters
        return {"history_rows": rows, "history_types": types, "history_signals": signals, "user_dense": dense}


def _looked_up(rows: Array, ascending: Array, scores: Array) -> Array:
    if len(ascending) == 0:
        return np.zeros(len(rows), np.float32)
    place = np.minimum(np.searchsorted(ascending, rows.astype(ascending.dtype)), len(ascending) - 1)
    return np.where(ascending[place] == rows, scores[place], np.float32(0.0))


def _mmr(scores: Array, unit: Array, k: int, trade_off: float = 0.7) -> list[int]:
    pool = np.argsort(-scores, kind="stable")[:_POOL]
    relevance, unit = scores[pool], unit[pool]
    low = relevance.min()
    relevance = trade_off * (relevance - low) / max(relevance.max() - low, 1e-9)
    away = unit * np.float32(1 - trade_off)
    marginal = relevance.copy()
    chosen: list[int] = []
    for _ in range(k):
        best = int(marginal.argmax())
        left = relevance - away @ unit[best]
        marginal = np.minimum(marginal, left) if chosen else left
        chosen.append(best)
        marginal[chosen] = -np.inf
    return [int(i) for i in pool[chosen]]


def _padded(table: ItemTable, name: str) -> tuple[Array, Array, int]:
    """A tag attribute as codes [N+1, T], filled up with a code of its own; how many a row has; how many there are."""
    column = table.tags[name]
    lengths = np.diff(column.indptr)
    codes = np.full((len(lengths), max(int(lengths.max(initial=0)), 1)), len(column.vocabulary), np.uint32)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    codes[owner, np.arange(len(owner)) - column.indptr[owner]] = column.codes
    return codes, np.maximum(lengths, 1), len(column.vocabulary)


def _index(folder: Path, dim: int) -> Any:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=dim)
    index.load_index(str(folder / INDEX_FILE))
    index.set_num_threads(1)
    return index


def _session(folder: Path, spec: ModelSpec) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(folder / spec.file), options, providers=["CPUExecutionProvider"])


def _task_weights(manifest: Manifest) -> Array:
    width = manifest.models["ranker"].outputs[0].shape[-1]
    weights = [manifest.task_weights.get(task, 0.0) for task in manifest.tasks]
    return np.array(weights if width == len(weights) and width > 1 else [1.0], np.float32)


def measured(floor: Floor, user_keys: Sequence[int], clock: Callable[[], float] = time.process_time) -> dict[str, Any]:
    """CPU a slate over these users, after a tenth of them to warm up."""
    warm = len(user_keys) // 10
    now_us = time.time_ns() // 1000
    for user_key in user_keys[:warm]:
        floor.slate(user_key, now_us)
    gc.collect()
    gc.freeze()
    floor.hits = 0
    began, wall = clock(), time.perf_counter()
    for user_key in user_keys[warm:]:
        floor.slate(user_key, now_us)
    slates = len(user_keys) - warm
    return {
        "cpu_ms": round((clock() - began) / slates * 1000, 4),
        "wall_ms": round((time.perf_counter() - wall) / slates * 1000, 4),
        "slates": slates,
        "user_cache_hit_rate": round(floor.hits / slates, 4),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floor", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--users", type=Path, required=True, help=".npy of user keys, one a slate")
    options = parser.parse_args(argv)
    features = Features(Plan.read(options.plan), os.environ[REDIS_VARIABLE])
    found = measured(Floor(options.bundle, features), np.load(options.users).tolist())
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
