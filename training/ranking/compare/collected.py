"""The samples that every ranker of a comparison is trained on and judged by, collected once and kept.

Trained on as `fit` does: candidates of retrieval's first stage, which has not seen the moments. Judged as it serves:
moments and slates after the cut, with the second stage, which has seen everything before it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.errors import BundleMismatch
from penchant.features import FeatureSchema
from penchant.types import Matrix
from training.data.dataset import Dataset
from training.data.split import default_protocol, history_mask, split
from training.fingerprint import fingerprint
from training.fit import first_stage, schema_of, second_stage
from training.learning.book import Book
from training.progress import Tell
from training.ranking.known import ItemKnowledge
from training.ranking.recipe import RankingRecipe
from training.ranking.requests import hold_back, sample_of_users, slates_between
from training.ranking.samples import Samples, Stage, collect
from training.ranking.tasks import Task, tasks_of
from training.recipes import Recipe

_SAMPLING = (
    "slice_share", "slice_items", "max_requests", "max_valid_requests", "max_slates", "candidates", "hard_negatives",
    "drawn_negatives", "unmasked_share",
)  # fmt: skip
PARTS = ("train", "valid", "requests", "slates")


@dataclass(frozen=True, slots=True)
class Held:
    """How much is held out to judge by, at most."""

    requests: int
    slates: int


@dataclass(frozen=True, slots=True)
class Collected:
    """Samples of the four parts; whose they are [R]; what rankers know of the items of both stages, by row.

    train and valid point into the first stage's rows; requests (whole candidate lists) and slates (what was shown
    alone) lie after the cut and point into the second's.
    """

    books: dict[str, Book]
    known: dict[str, Matrix]
    users: dict[str, NDArray[np.int64]]
    schema: FeatureSchema
    tasks: list[Task]

    def samples(self, part: str) -> Samples:
        """Of one of PARTS."""
        return self.books[part].samples


def collected(dataset: Dataset, recipe: Recipe, held: Held, folder: Path, seed: int, tell: Tell) -> Collected:
    """From `folder`, where the same data, recipe, seed and code collected them before; else collected and written."""
    sampling = [getattr(recipe.ranking, name) for name in _SAMPLING]
    name = fingerprint(dataset, recipe.retrieval, sampling, held, seed)
    schema = _schema(dataset)
    try:
        if json.loads((folder / "about.json").read_text()) == name:
            books = {part: Book.read(folder / f"{part}.npz") for part in PARTS}
            known = {part: np.load(folder / f"known.{part}.npy") for part in PARTS}
            tell("samples kept from before", 1.0)
            return _of(dataset, schema, books, known)
    except (OSError, ValueError, BundleMismatch):
        pass  # not there, or half written
    books, known = _collect(dataset, recipe, held, schema, seed, tell)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "about.json").unlink(missing_ok=True)
    for part in PARTS:
        books[part].write(folder / f"{part}.npz")
        np.save(folder / f"known.{part}.npy", known[part])
    (folder / "about.json").write_text(json.dumps(name))
    return _of(dataset, schema, books, known)


def _of(dataset: Dataset, schema: FeatureSchema, books: dict[str, Book], known: dict[str, Matrix]) -> Collected:
    users = {part: dataset.events.users[books[part].samples.events].astype(np.int64) for part in PARTS}
    return Collected(books, known, users, schema, tasks_of(dataset))


def _schema(dataset: Dataset) -> FeatureSchema:
    cut = split(dataset, default_protocol(dataset))
    return schema_of(dataset, np.concatenate([cut.train, cut.valid]))


def _collect(
    dataset: Dataset, recipe: Recipe, held: Held, schema: FeatureSchema, seed: int, tell: Tell
) -> tuple[dict[str, Book], dict[str, Matrix]]:
    cut = split(dataset, default_protocol(dataset))
    back = hold_back(dataset, cut, recipe.ranking, seed)
    first, early, _ = first_stage(dataset, cut, back, schema, recipe, seed, tell)
    second, late = second_stage(dataset, cut, schema, recipe, seed, first, tell)
    knowledge = ItemKnowledge.of(first)
    before = np.zeros(len(dataset.events), np.bool_)
    before[cut.train] = before[cut.valid] = True
    tasks = tasks_of(dataset)
    none = np.empty(0, np.int64)
    shown = slates_between(dataset, cut.held_out, held.slates, seed)
    targets = sample_of_users(dataset, cut.test[history_mask(dataset)[cut.test]], held.requests, seed)
    # Of a slate to judge by, what was shown and nothing else.
    alone = replace(recipe.ranking, hard_negatives=0, drawn_negatives=0, unmasked_share=0.0)
    everything = np.ones(len(dataset.events), np.bool_)

    def some(
        part: str,
        stage: Stage,
        events: NDArray[np.int64],
        slates: Sequence[NDArray[np.int64]],
        allowed: NDArray[np.bool_],
        ranking: RankingRecipe,
        whole: bool,
    ) -> Book:
        total, done = max(len(events) + len(slates), 1), 0

        def told(count: int) -> None:
            nonlocal done
            done += count
            tell(f"{part} samples", min(done / total, 1.0))

        samples = collect(dataset, stage, events, slates, allowed, tasks, ranking, whole, seed, told)
        return Book(samples, stage.table.keys, np.asarray(stage.table.features.base, np.float32))

    ranking = recipe.ranking
    books = {
        "train": some("train", early, back.train, back.slates_train, before, ranking, False),
        "valid": some("valid", early, back.valid, back.slates_valid, before, ranking, True),
        "requests": some("requests", late, targets, [], everything, ranking, True),
        "slates": some("slates", late, none, shown, everything, alone, False),
    }
    known, later = knowledge.vectors(first.catalogue), knowledge.vectors(second.catalogue)
    return books, {"train": known, "valid": known, "requests": later, "slates": later}
