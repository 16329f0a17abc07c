"""python -m benchmarks.catalogue: a bundle of N items out of a trained one, where training N items is out of reach.

The rule, so that nobody takes it for more than it is:

- every trained item stays as it is; all others are kin of trained items, as many of each
- a kin's embedding is its origin's, moved by half the difference between two of the origin's nearest neighbours and
  brought back to the origin's length, so that what lies near what, and how long vectors are, is as training left it
- its content, attributes and features are its origin's, as are its rows of every model's tables (but the embedding)
- its popularity is its origin's divided by its place among its kin; its followers (co-visitation) and content
  neighbours are kin of the origin's, drawn by chance, at most --followers of the heaviest

What speed depends on is kept: how embeddings cluster, how long lists are, how large tables are, how scattered the rows
of a request lie in memory. Quality is not: metrics are left out.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.stand import say
from penchant.bundle import Manifest, ModelSpec, current, file_checksums, publish, verify, write_manifest
from penchant.columns import TagColumn
from penchant.errors import ConfigError, PenchantError
from penchant.ids import keys
from penchant.item_reader import FILE as READER
from penchant.item_table import ItemTable
from penchant.mapped import mapped
from penchant.retrieval import CoVisitation
from penchant.types import Matrix, Rows

_NEAR = 16
_MOVE = 0.5
_EXTERNAL_FROM = 1 << 20
"""Tensors of at least so many bytes lie in a file of their own, which ONNX Runtime maps."""


def extended(bundles: Path, items: int, out: Path, followers: int = 64, seed: int = 1) -> Path:
    """Publish in `out` a bundle of so many items, out of the one that `bundles` publishes; its folder.

    What lies there already is taken if it is of the same bundle and size. Raises ConfigError, BundleMismatch.
    """
    source = current(bundles)
    if source is None:
        raise ConfigError(f"{bundles} publishes no bundle: train one with `python -m training fit`")
    manifest = verify(source)
    if items < manifest.item_count:
        raise ConfigError(f"--items is {items}, the bundle has {manifest.item_count} already: give a larger number")
    version = f"{manifest.version}-{items}"
    folder = out / version
    if (folder / "manifest.json").exists():
        publish(out, version)
        return folder
    say(f"extending {manifest.item_count:,} trained items to {items:,}")
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("retrieval", "ranker"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    table = ItemTable.open(source)
    kin = Kin.of(table, items, rng)
    embeddings = kin.embeddings(table.embeddings.base, rng)
    kin.table(table, embeddings).write(folder)
    _write_retrieval(source / "retrieval", folder / "retrieval", kin, followers, rng)
    shutil.copytree(source / "users", folder / "users")
    models = {
        name: _write_model(source, folder, spec, kin, table.embeddings.base, embeddings)
        for name, spec in manifest.models.items()
    }
    _write_index(embeddings, folder / "retrieval" / "index.hnsw")
    _describe(folder, manifest, version, items, models)
    publish(out, version)
    return folder


class Kin:
    """Who is whose kin: origin [N+1], the trained row of every row; place [N+1], 0 for the trained item itself."""

    def __init__(self, ids: list[str], origin: NDArray[np.int64], place: NDArray[np.int64]) -> None:
        self.ids, self.origin, self.place = ids, origin, place
        trained = int(origin.max())
        order = np.lexsort((place[1:], origin[1:])) + 1
        self._by_origin = order.astype(np.uint32)
        counts = np.bincount(origin[1:], minlength=trained + 1)
        self._counts = counts
        self._starts = np.concatenate([[0], np.cumsum(counts)[:-1]])

    @classmethod
    def of(cls, table: ItemTable, items: int, rng: np.random.Generator) -> "Kin":
        """Ids, origins and places in ascending order of keys, as a bundle's rows are."""
        trained = table.bundle_rows
        origin = np.arange(items) % trained + 1
        place = np.arange(items) // trained
        names = table.ids
        ids = [names[o] if p == 0 else f"{names[o]}~{p}" for o, p in zip(origin.tolist(), place.tolist(), strict=True)]
        order = np.argsort(keys("", ids))
        first = np.zeros(1, np.int64)
        return cls(
            ["", *(ids[i] for i in order)],
            np.concatenate([first, origin[order]]),
            np.concatenate([first, place[order]]),
        )

    def __len__(self) -> int:
        return len(self.origin)

    def itself(self, rows: NDArray[np.integer]) -> Rows:
        """The row of each trained row; 0 stays 0."""
        first = self._by_origin[np.minimum(self._starts[rows], len(self._by_origin) - 1)]
        return np.where(rows > 0, first, 0).astype(np.uint32)

    def drawn(self, rows: NDArray[np.integer], rng: np.random.Generator) -> Rows:
        """One of the kin of each trained row, by chance; 0 stays 0."""
        chance = (rng.random(rows.shape) * self._counts[rows]).astype(np.int64)
        found = self._by_origin[np.minimum(self._starts[rows] + chance, len(self._by_origin) - 1)]
        return np.where(rows > 0, found, 0).astype(np.uint32)

    def embeddings(self, trained: Matrix, rng: np.random.Generator) -> Matrix:
        """Embeddings of every row by the rule."""
        near = _nearest(np.asarray(trained, np.float32))
        made = np.asarray(trained[self.origin], np.float32)
        moved = np.flatnonzero(self.place > 0)
        for rows in np.array_split(moved, max(len(moved) // 100_000, 1)):
            of = self.origin[rows]
            pairs = near[of[:, None], rng.integers(0, near.shape[1], (len(rows), 2))]
            shift = trained[pairs[:, 0]] - trained[pairs[:, 1]]
            vectors = trained[of] + np.float32(_MOVE) * shift
            lengths = np.linalg.norm(trained[of], axis=1) / (np.linalg.norm(vectors, axis=1) + 1e-9)
            made[rows] = vectors * lengths[:, None]
        return made

    def table(self, trained: ItemTable, embeddings: Matrix) -> ItemTable:
        """The item table of every row."""
        origin = self.origin
        return ItemTable(
            np.concatenate([[0], keys("", self.ids[1:])]),
            self.ids,
            embeddings,
            trained.features.base[origin],
            trained.content.base[origin],
            trained.created.base[origin],
            {name: _spread(column, origin) for name, column in trained.tags.items()},
            {name: values[origin] for name, values in trained.numeric.items()},
            trained.texts,
        )

    def popularity(self, log_shares: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log shares of every row: the n-th of its kin has an n-th part of what the first has."""
        return np.asarray(log_shares[self.origin] - np.log1p(self.place), np.float32)


def _nearest(trained: Matrix) -> NDArray[np.int64]:
    """The trained rows most alike to each by cosine, [N+1, _NEAR]; row 0 is like nothing."""
    unit = trained / (np.linalg.norm(trained, axis=1, keepdims=True) + 1e-9)
    near = np.zeros((len(unit), min(_NEAR, len(unit) - 1)), np.int64)
    for rows in np.array_split(np.arange(1, len(unit)), max(len(unit) // 2000, 1)):
        likeness = unit[rows] @ unit.T
        likeness[np.arange(len(rows)), rows] = -np.inf
        likeness[:, 0] = -np.inf
        near[rows] = np.argpartition(-likeness, near.shape[1] - 1, axis=1)[:, : near.shape[1]]
    return near


def _spread(column: TagColumn, origin: NDArray[np.int64]) -> TagColumn:
    starts, ends = column.indptr[origin], column.indptr[origin + 1]
    indptr = np.concatenate([[0], np.cumsum(ends - starts)])
    index = np.repeat(starts - indptr[:-1], ends - starts) + np.arange(indptr[-1])
    return TagColumn(column.vocabulary, indptr, np.asarray(column.codes[index], np.uint32))


def _write_retrieval(source: Path, out: Path, kin: Kin, followers: int, rng: np.random.Generator) -> None:
    for name in ("popular.scores", "trend.scores"):
        np.save(out / f"{name}.npy", kin.popularity(np.load(source / f"{name}.npy")))
    for name in ("popular.rows", "fresh.rows"):
        np.save(out / f"{name}.npy", kin.itself(np.load(source / f"{name}.npy")))
    np.save(out / "neighbours.rows.npy", kin.drawn(mapped(source / "neighbours.rows.npy")[kin.origin], rng))
    _heaviest(CoVisitation.open(source), kin, followers, rng).write(out)
    reader = source / Path(READER).name
    if reader.exists():
        shutil.copy(reader, out)


def _heaviest(trained: CoVisitation, kin: Kin, followers: int, rng: np.random.Generator) -> CoVisitation:
    """Every row with its origin's heaviest followers, each replaced by one of its kin."""
    starts, ends = trained.indptr[:-1], trained.indptr[1:]
    owner = np.repeat(np.arange(len(starts)), ends - starts)
    order = np.lexsort((-trained.weights, owner))
    rank = np.arange(len(order)) - starts[owner[order]]
    order = order[rank < followers]
    indptr = np.concatenate([[0], np.cumsum(np.minimum(ends - starts, followers))])
    lengths = np.diff(indptr)[kin.origin]
    spread = np.concatenate([[0], np.cumsum(lengths)])
    index = np.repeat(indptr[kin.origin] - spread[:-1], lengths) + np.arange(spread[-1])
    chosen = order[index]
    return CoVisitation(spread, kin.drawn(trained.targets[chosen], rng), np.asarray(trained.weights[chosen]))


def _write_model(
    source: Path, folder: Path, spec: ModelSpec, kin: Kin, trained: Matrix, embeddings: Matrix
) -> ModelSpec:
    """The model with a row of every table for every item; golden rows as it answers now."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(source / spec.file))
    grown = False
    for tensor in model.graph.initializer:
        if tensor.dims and tensor.dims[0] == len(trained):
            table = numpy_helper.to_array(tensor)
            same = table.shape == trained.shape and np.array_equal(table, trained)
            tensor.CopyFrom(numpy_helper.from_array(embeddings if same else table[kin.origin], tensor.name))
            grown = True
    if not grown:
        shutil.copyfile(source / spec.file, folder / spec.file)
        if spec.golden:
            shutil.copyfile(source / spec.golden, folder / spec.golden)
        return spec
    onnx.save_model(
        model, str(folder / spec.file), save_as_external_data=True, location=f"{Path(spec.file).name}.data",
        size_threshold=_EXTERNAL_FROM,
    )  # fmt: skip
    if spec.golden:
        _write_golden(source, folder, spec)
    return spec


def _write_golden(source: Path, folder: Path, spec: ModelSpec) -> None:
    from penchant.sessions import open_session

    with np.load(source / spec.golden) as golden:
        feed = {name[3:]: golden[name] for name in golden.files if name.startswith("in:")}
    answer = open_session(folder, replace(spec, golden=""))(feed)
    arrays: dict[str, Any] = {f"in:{name}": value for name, value in feed.items()}
    arrays[f"out:{spec.outputs[0].name}"] = answer
    np.savez(folder / spec.golden, **arrays)


def _write_index(embeddings: Matrix, path: Path) -> None:
    from training.retrieval.export import write_index

    say(f"index over {len(embeddings) - 1:,} items")
    write_index(embeddings, path)


def _describe(folder: Path, manifest: Manifest, version: str, items: int, models: dict[str, ModelSpec]) -> None:
    recipe = {**manifest.recipe, "extended_from": manifest.version, "trained_items": manifest.item_count}
    files = file_checksums(folder)
    write_manifest(
        folder,
        replace(
            manifest, version=version, item_count=items, recipe=recipe, models=models, files=files, metrics={},
            reference={},
        ),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.catalogue", description=__doc__)
    parser.add_argument("--bundles", type=Path, required=True, help="a folder with a published bundle")
    parser.add_argument("--items", type=int, required=True, help="of the bundle that is made")
    parser.add_argument("--out", type=Path, required=True, help="a folder of bundles")
    parser.add_argument("--followers", type=int, default=64, help="co-visitation: at most so many an item")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    try:
        folder = extended(options.bundles, options.items, options.out, options.followers, options.seed)
    except PenchantError as error:
        say(f"error: {error}")
        return 1
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(json.dumps({"bundle": folder.name, "items": options.items, "bytes": size}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
