"""A whole small bundle without any training: SVD embeddings, a tower that averages them, a ranker of one sum."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from scipy import sparse
from scipy.sparse.linalg import svds

from penchant.bundle import FORMAT, Manifest, ModelSpec, TensorSpec, file_checksums, publish, write_manifest
from penchant.content import CONTENT_DIM, content_vectors, tokens
from penchant.features import FeatureSchema
from penchant.ids import keys
from penchant.item_reader import FILE, ItemReader
from penchant.item_table import ItemTable, TagColumn
from penchant.retrieval import RETRIEVAL_FEATURES, CoVisitation, RetrievalSettings
from training.data.dataset import Attributes, Dataset, EventTable
from training.data.split import Split, history_mask
from training.evaluation.protocol import event_columns

HISTORY = 20
GENRES = ("comedy", "drama", "western")
"""Item i's genre is GENRES[i % 3]; its price is i."""


def generated(users: int = 40, items: int = 60, events: int = 1600, seed: int = 0) -> Dataset:
    """Users walk along the catalogue in small steps, so what comes next follows from what came before."""
    rng = np.random.default_rng(seed)
    place = rng.integers(0, items, users)
    who = rng.integers(0, users, events)
    what = np.zeros(events, np.int32)
    for i, user in enumerate(who):
        place[user] = (place[user] + rng.integers(1, 4)) % items
        what[i] = place[user]
    kinds = rng.choice(3, events, p=[0.2, 0.75, 0.05])
    table = EventTable(
        who.astype(np.int32), what, np.sort(rng.integers(0, 90 * 86_400, events)) * 1_000_000,
        kinds.astype(np.int8), np.full(events, np.nan, np.float32), np.arange(events, dtype=np.int64),
    )  # fmt: skip
    return Dataset(
        "walks", [f"u{i}" for i in range(users)], [f"i{i}" for i in range(items)], ["view", "click", "hide"], table,
        Attributes(), Attributes(categorical={"plan": [("free", "paid")[i % 2] for i in range(users)]}),
        True, {}, {}, Path("."),
    )  # fmt: skip


def write_bundle(dataset: Dataset, cut: Split, bundles: Path, dim: int = 8, has_values: bool = False) -> Path:
    """Publish a bundle of what was not held out."""
    before = np.sort(np.concatenate([cut.train, cut.valid]))
    before = before[history_mask(dataset)[before]]
    item_keys = np.unique(event_columns(dataset).item_keys[before])
    ids = dict(zip(keys("", dataset.item_ids).tolist(), dataset.item_ids, strict=True))
    count = len(item_keys)
    rows = np.searchsorted(item_keys, event_columns(dataset).item_keys[before]) + 1
    users = dataset.events.users[before]
    by_user = np.lexsort((before, users))
    pairs = sparse.csr_matrix((count + 1, count + 1))
    for distance in range(1, 11):
        a, b = by_user[:-distance], by_user[distance:]
        same = users[a] == users[b]
        pairs = pairs + sparse.csr_matrix(
            (np.full(same.sum(), 1.0 / distance), (rows[a[same]], rows[b[same]])), shape=pairs.shape
        )
    counts = np.maximum(np.bincount(rows, minlength=count + 1), 1)
    pairs = sparse.csr_matrix(sparse.diags(1.0 / counts) @ pairs)
    left, values, _ = svds(pairs, k=dim, v0=np.ones(count + 1))
    embeddings = (left * np.sqrt(values)).astype(np.float32)
    embeddings[0] = 0.0

    version = f"{dataset.name}-1"
    folder = bundles / version
    for name in ("retrieval", "users", "ranker"):
        (folder / name).mkdir(parents=True)
    schema = FeatureSchema.default(
        has_times=dataset.has_times,
        has_values=has_values,
        item_attributes={"genre": GENRES},
        user_attributes={"plan": ("free", "paid")},
    )
    features = np.random.default_rng(5).random((count + 1, len(schema.item_dense_names))).astype(np.float32)
    names = [ids[k] for k in item_keys.tolist()]
    numbers = np.array([int(name[1:]) for name in names])
    genres = (numbers % len(GENRES)).astype(np.uint32)
    content = np.zeros((count + 1, CONTENT_DIM), np.float32)
    content[1:] = content_vectors(tokens([], {"genre": [GENRES[g]]}) for g in genres)
    ItemTable(
        np.concatenate([[0], item_keys]), ["", *names], embeddings, features, content, np.zeros(count + 1, np.int64),
        {"genre": TagColumn(GENRES, np.concatenate([[0], np.arange(count + 1)]), genres)},
        {"price": np.concatenate([[np.nan], numbers]).astype(np.float32)},
    ).write(folder)  # fmt: skip
    retrieval = folder / "retrieval"
    CoVisitation(
        pairs.indptr.astype(np.int64), pairs.indices.astype(np.uint32), pairs.data.astype(np.float32)
    ).write(retrieval)  # fmt: skip
    popularity = np.bincount(rows, minlength=count + 1)
    recent = np.bincount(rows[-len(rows) // 10 :], minlength=count + 1)
    best = np.stack([np.argsort(-p[1:], kind="stable")[:40] + 1 for p in (recent, popularity)])
    np.save(retrieval / "popular.rows.npy", best.astype(np.uint32))
    np.save(retrieval / "popular.scores.npy", np.log((popularity + 1) / popularity.sum()).astype(np.float32))
    np.save(retrieval / "trend.scores.npy", np.log((popularity + 1) / popularity.sum()).astype(np.float32))
    np.save(retrieval / "fresh.rows.npy", best[0, :5].astype(np.uint32))
    np.save(retrieval / "neighbours.rows.npy", np.zeros((count + 1, 5), np.uint32))
    user_keys = keys("", dataset.user_ids)
    order = np.argsort(user_keys)
    vectors = np.stack([embeddings[rows[users == u]][-HISTORY:].sum(axis=0) for u in range(len(user_keys))])
    np.save(folder / "users" / "keys.npy", user_keys[order])
    np.save(folder / "users" / "embeddings.npy", vectors[order].astype(np.float32))
    (folder / "users" / "ids.json").write_text(json.dumps([dataset.user_ids[u] for u in order]))
    write_index(embeddings, retrieval / "index.hnsw")
    tower = ModelSpec(
        "retrieval/user_tower.onnx",
        (TensorSpec("history_rows", "int64", (-1, HISTORY)),),
        (TensorSpec("user_embedding", "float32", (-1, dim)),),
        "",
    )
    onnx.save(mean_tower(embeddings), folder / tower.file)
    reader = ItemReader.of([], ["genre"], {"price": numbers.astype(np.float32)})
    (folder / FILE).write_text(json.dumps(reader.to_json()))
    read = reader.vectors({"genre": GENRES[g], "price": float(n)} for g, n in zip(genres, numbers, strict=True))
    onto = (np.linalg.pinv(read, rcond=1e-3) @ embeddings[1:]).astype(np.float32)
    item_tower = ModelSpec(
        "retrieval/item_tower.onnx",
        (TensorSpec("content", "float32", (-1, reader.width)),),
        (TensorSpec("item_embedding", "float32", (-1, dim)),),
        "retrieval/item_tower.golden.npz",
    )
    onnx.save(linear_tower(onto), folder / item_tower.file)
    np.savez(folder / item_tower.golden, **{"in:content": read[:4], "out:item_embedding": read[:4] @ onto})
    ranker = ModelSpec(
        "ranker/ranker.onnx",
        (
            TensorSpec("item_dense", "float32", (-1, features.shape[1])),
            TensorSpec("retrieval", "float32", (-1, len(RETRIEVAL_FEATURES))),
        ),
        (TensorSpec("scores", "float32", (-1, 1)),),
        "",
    )
    onnx.save(sum_ranker(features.shape[1]), folder / ranker.file)
    write_manifest(
        folder,
        Manifest(
            version, FORMAT, "2026-01-01T00:00:00Z", dataset.name, {"protocol": cut.protocol}, 0, cut.cut_us,
            count, dim, HISTORY, schema.fingerprint(), json.loads(json.dumps(schema.to_json())),
            RetrievalSettings().to_json(),
            ("engage",), {"engage": 1.0}, {"user_tower": tower, "item_tower": item_tower, "ranker": ranker},
            file_checksums(folder),
        ),
    )  # fmt: skip
    publish(bundles, version)
    return folder


def write_index(embeddings: np.ndarray, path: Path) -> None:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=embeddings.shape[1])
    index.init_index(max_elements=len(embeddings), M=16, ef_construction=200, random_seed=1)
    index.set_num_threads(1)
    index.add_items(embeddings[1:], np.arange(1, len(embeddings)))
    index.save_index(str(path))


def mean_tower(embeddings: np.ndarray) -> onnx.ModelProto:
    """history_rows [B, L] to the sum of their embeddings; row 0 adds nothing."""
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["embeddings", "history_rows"], ["gathered"], axis=0),
            helper.make_node("ReduceSum", ["gathered", "axes"], ["user_embedding"], keepdims=0),
        ],
        "tower",
        [helper.make_tensor_value_info("history_rows", TensorProto.INT64, ["B", HISTORY])],
        [helper.make_tensor_value_info("user_embedding", TensorProto.FLOAT, ["B", embeddings.shape[1]])],
        [numpy_helper.from_array(embeddings, "embeddings"), numpy_helper.from_array(np.array([1]), "axes")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def linear_tower(onto: np.ndarray) -> onnx.ModelProto:
    """content [B, C] to item_embedding [B, D] by one matrix."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["content", "onto"], ["item_embedding"])],
        "item_tower",
        [helper.make_tensor_value_info("content", TensorProto.FLOAT, ["B", onto.shape[0]])],
        [helper.make_tensor_value_info("item_embedding", TensorProto.FLOAT, ["B", onto.shape[1]])],
        [numpy_helper.from_array(onto, "onto")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def sum_ranker(item_width: int) -> onnx.ModelProto:
    """scores [B, 1]: the blended retrieval score plus the first item feature."""
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["item_dense", "first"], ["a"], axis=1),
            helper.make_node("Gather", ["retrieval", "first"], ["b"], axis=1),
            helper.make_node("Add", ["a", "b"], ["scores"]),
        ],
        "ranker",
        [
            helper.make_tensor_value_info("item_dense", TensorProto.FLOAT, ["B", item_width]),
            helper.make_tensor_value_info("retrieval", TensorProto.FLOAT, ["B", len(RETRIEVAL_FEATURES)]),
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", 1])],
        [numpy_helper.from_array(np.array([0]), "first")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
