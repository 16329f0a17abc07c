"""A bundle in memory, checked against what this program reads: its item table, retrieval and models."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.bundle import Manifest, ModelSpec, TensorSpec
from penchant.content import CONTENT_DIM
from penchant.errors import BundleMismatch
from penchant.features import FeatureSchema
from penchant.item_table import Embed, ItemTable
from penchant.item_tower import open_item_tower, tower_width
from penchant.ranking import HISTORY_SIGNALS
from penchant.retrieval import RETRIEVAL_FEATURES, RetrievalModel
from penchant.retrieval.delta import DeltaSearch
from penchant.retrieval.index import INDEX_FILE, open_search
from penchant.sessions import Session, open_session
from penchant.types import Matrix
from services.runtime.logs import logger

_log = logger("bundle")


@dataclass(frozen=True, slots=True)
class LoadedBundle:
    """Everything a leaf needs of one bundle; standalone shares it between the leaves."""

    folder: Path
    manifest: Manifest
    schema: FeatureSchema
    table: ItemTable
    embed: Embed
    """Content vectors to item embeddings by the item tower; zeros without one. It holds nothing but the tower, so a
    feed that keeps it does not keep the bundle."""
    retrieval: RetrievalModel | None = None
    ranker: Session | None = None

    @property
    def version(self) -> str:
        """The bundle's."""
        return self.manifest.version


def load_bundle(
    folder: Path, manifest: Manifest, retrieval: bool = True, ranking: bool = True, index: str = "auto"
) -> LoadedBundle:
    """Map a verified bundle and open what is asked for. index is hnsw, exact or auto.

    The item tower is always opened: every process that ranks or selects embeds new items alike.
    Raises BundleMismatch where schema, shapes or golden rows are not what the manifest and this program say.
    """
    try:
        schema = _schema(manifest)
        table = ItemTable.open(folder)
        _check_table(manifest, schema, table)
        models = manifest.models
        return LoadedBundle(
            folder,
            manifest,
            schema,
            table,
            _item_tower(folder, manifest),
            _retrieval(folder, manifest, table, index) if retrieval else None,
            _ranker(folder, manifest, schema) if ranking and "ranker" in models else None,
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise BundleMismatch(
            f"bundle {manifest.version}: {folder} cannot be read ({type(error).__name__}: {error}): publish it again"
        ) from error


def _schema(manifest: Manifest) -> FeatureSchema:
    schema = FeatureSchema.from_json(manifest.schema)
    found = schema.fingerprint()
    if found != manifest.schema_fingerprint:
        raise BundleMismatch(
            f"bundle {manifest.version}: its feature schema has fingerprint {manifest.schema_fingerprint}, this "
            f"program computes {found}: the features mean something else here; train again with this version"
        )
    return schema


def _check_table(manifest: Manifest, schema: FeatureSchema, table: ItemTable) -> None:
    rows = manifest.item_count + 1
    wanted = {
        "items/keys": ((rows,), table.keys.shape),
        "items/ids": ((rows,), (len(table.ids),)),
        "items/embeddings": ((rows, manifest.embedding_dim), table.embeddings.shape),
        "items/features": ((rows, len(schema.item_dense_names)), table.features.shape),
        "items/content": ((rows, CONTENT_DIM), table.content.shape),
        "items/created": ((rows,), table.created.shape),
    }
    for name, (expected, found) in wanted.items():
        _same(manifest, name, expected, found)
    if not (np.diff(table.keys[1:]) > 0).all():
        raise BundleMismatch(f"bundle {manifest.version}: items/keys are not ascending: publish the bundle again")


def _same(manifest: Manifest, name: str, expected: tuple[int, ...], found: tuple[int, ...]) -> None:
    if expected != found:
        raise BundleMismatch(
            f"bundle {manifest.version}: {name} has shape {found}, expected {expected}: publish the bundle again"
        )


def _retrieval(folder: Path, manifest: Manifest, table: ItemTable, index: str) -> RetrievalModel:
    spec = _spec(manifest, "user_tower")
    expected = ((-1, manifest.history_length), (-1, manifest.embedding_dim))
    _check_spec(manifest, "user_tower", spec, {spec.inputs[0].name: expected[0]}, expected[1])
    session = open_session(folder, spec)
    name = spec.inputs[0].name

    def tower(history_rows: NDArray[np.int64]) -> Matrix:
        return session({name: history_rows})

    embeddings = table.embeddings.base
    if index != "exact" and (folder / INDEX_FILE).exists() and INDEX_FILE not in manifest.files:
        raise BundleMismatch(
            f"bundle {manifest.version}: {INDEX_FILE} is not listed in the manifest, so it cannot be checked: publish "
            "the bundle again"
        )
    opened = open_search(folder, embeddings, np.load(folder / "users" / "embeddings.npy", mmap_mode="r"), index)
    _log.info("search opened", bundle=manifest.version, kind=opened.kind, recall=round(opened.recall, 4))
    model = RetrievalModel.open(folder, manifest, tower, opened.search, table.embeddings, table.content)
    model.delta = DeltaSearch(model.user_embeddings, index)
    rows = manifest.item_count + 1
    _same(manifest, "retrieval/popular.scores", (rows,), model.popular_scores.shape)
    _same(manifest, "retrieval/neighbours.rows", (rows,), model.neighbours.shape[:1])
    _same(manifest, "retrieval/co_visitation.indptr", (rows + 1,), model.co_visitation.indptr.shape)
    _same(manifest, "users/embeddings", (len(model.user_keys), manifest.embedding_dim), model.user_embeddings.shape)
    for what, found in (("popular", model.popular_rows), ("fresh", model.fresh_rows), ("neighbours", model.neighbours)):
        if found.size and int(found.max()) >= rows:
            raise BundleMismatch(
                f"bundle {manifest.version}: retrieval/{what}.rows names row {int(found.max())}, the bundle has "
                f"{rows - 1} items: publish the bundle again"
            )
    return model


def _ranker(folder: Path, manifest: Manifest, schema: FeatureSchema) -> Session:
    length = manifest.history_length
    inputs = {
        "history_rows": (-1, length),
        "history_types": (-1, length),
        "history_signals": (-1, length, len(HISTORY_SIGNALS)),
        "user_dense": (-1, len(schema.user_dense_names)),
        "rows": (-1,),
        "item_dense": (-1, len(schema.item_dense_names)),
        "retrieval": (-1, len(RETRIEVAL_FEATURES)),
        "pair_dense": (-1, len(schema.pair_dense_names)),
    }
    spec = _spec(manifest, "ranker")
    _check_spec(manifest, "ranker", spec, inputs, (-1, len(manifest.tasks)))
    return open_session(folder, spec)


def _item_tower(folder: Path, manifest: Manifest) -> Embed:
    if "item_tower" in manifest.models:
        spec = _spec(manifest, "item_tower")
        inputs = {spec.inputs[0].name: (-1, tower_width(folder))}
        _check_spec(manifest, "item_tower", spec, inputs, (-1, manifest.embedding_dim))
    return open_item_tower(folder, manifest)


def _spec(manifest: Manifest, name: str) -> ModelSpec:
    if name not in manifest.models:
        raise BundleMismatch(f"bundle {manifest.version} holds no {name}: train it with `python -m training fit`")
    return manifest.models[name]


def _check_spec(
    manifest: Manifest, name: str, spec: ModelSpec, inputs: Mapping[str, tuple[int, ...]], output: tuple[int, ...]
) -> None:
    """Whether this program feeds what the model takes; a dimension of 1 in a spec fits a free one."""
    for tensor in spec.inputs:
        if tensor.name not in inputs:
            raise BundleMismatch(
                f"bundle {manifest.version}: {name} reads {tensor.name!r}, this program gives: {', '.join(inputs)}"
            )
        _fits(manifest, name, tensor, inputs[tensor.name])
    _fits(manifest, name, spec.outputs[0], output)


def _fits(manifest: Manifest, name: str, tensor: TensorSpec, expected: tuple[int, ...]) -> None:
    same = len(tensor.shape) == len(expected) and all(
        found == wanted or (wanted == -1 and found == 1 and place == 0)
        for place, (found, wanted) in enumerate(zip(tensor.shape, expected, strict=True))
    )
    if not same:
        raise BundleMismatch(
            f"bundle {manifest.version}: {name}'s {tensor.name} has shape {tuple(tensor.shape)}, this program works "
            f"with {expected}: train and publish again with this version"
        )
