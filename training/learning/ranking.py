"""Fine-tunes the ranker on what came after the champion, whose retrieval proposes as it does in service."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from penchant.errors import BundleMismatch
from penchant.item_table import Embed
from penchant.types import Matrix
from training.catalogue import Catalogue
from training.data.dataset import Dataset
from training.learning.book import Book, bound, take
from training.learning.budget import UpdateBudget
from training.learning.warm import BOOK_REQUESTS, Warm
from training.ranking.known import ItemKnowledge
from training.ranking.model import Outputs
from training.ranking.recipe import RankingRecipe
from training.ranking.requests import sample_of_users, slates_between
from training.ranking.samples import Samples, Stage, collect
from training.ranking.tasks import Task, tasks_of
from training.ranking.train import TrainedRanker, train_ranker
from training.retrieval.train import Progress


@dataclass(frozen=True, slots=True)
class TunedRanking:
    """A ranker, what is known of the new catalogue's items, and the samples of this update."""

    trained: TrainedRanker
    known: Matrix
    book: Book
    """For the next update: old samples and new ones."""
    requests: int
    shown: int


def tune_ranking(
    dataset: Dataset,
    stage: Stage,
    embed: Embed,
    catalogue: Catalogue,
    new: NDArray[np.int64],
    is_target: NDArray[np.bool_],
    shown: Callable[[Stage, Sequence[Task]], list[Samples]],
    warm: Warm,
    recipe: RankingRecipe,
    budget: UpdateBudget,
    seed: int,
    progress: Progress = lambda done: None,
) -> TunedRanking:
    """Samples of the events `new` (ascending), training from warm weights, calibration on the newest of the samples.

    stage: the champion's, which has not seen `new`. embed: its item tower. catalogue: the challenger's. is_target [E]:
    events that may be predicted. shown: samples of joined exposures, of the same stage.
    """
    tasks = tasks_named(dataset, warm.ranker.tasks[1:], warm.ranker.outputs)
    allowed = np.zeros(len(dataset.events), np.bool_)
    allowed[new] = True
    targets = sample_of_users(dataset, new[is_target[new]], budget.requests, seed)
    slates = slates_between(dataset, new, budget.slates, seed)
    total = max(len(targets) + len(slates), 1)
    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        progress(0.7 * min(done / total, 1.0))

    samples = collect(dataset, stage, targets, slates, allowed, tasks, recipe, False, seed, told)
    order = np.argsort(samples.events, kind="stable")
    newest = order[len(order) - int(len(order) * budget.valid_share) :]
    fresh = np.setdiff1d(np.arange(len(samples)), newest)
    keys, features = stage.table.keys, np.asarray(stage.table.features.base, np.float32)
    extra = shown(stage, tasks)
    parts = [take(samples, fresh), *extra]
    books = [Book.of(part, keys, features) for part in parts if len(part)]
    valid = Book.of(take(samples, newest), keys, features)
    old = warm.book.thinned(budget.book_requests, (seed, 1))
    whole = bound([*books, old, valid])
    count = len(whole) - len(valid)
    train, judged = take(whole.samples, np.arange(count)), take(whole.samples, np.arange(count, len(whole)))
    knowledge = ItemKnowledge(keys, np.asarray(stage.table.embeddings.base, np.float32), embed, warm.ranker.numbers)
    known = knowledge.vectors(catalogue)
    rows = np.searchsorted(catalogue.keys[1:], whole.keys)
    place = np.where(
        (rows < catalogue.count) & (catalogue.keys[1:][np.minimum(rows, catalogue.count - 1)] == whole.keys),
        rows + 1,
        0,
    )
    trained = train_ranker(
        train, judged, whole.features, known[place], stage.schema, tasks,
        replace(recipe, epochs=budget.ranker_epochs, learning_rate=budget.ranker_rate * recipe.learning_rate), seed,
        lambda share: progress(0.7 + 0.3 * share), warm=warm.ranker,
    )  # fmt: skip
    trained = replace(trained, outputs=kept_where_unsure(trained.outputs, warm.ranker.outputs, judged))
    share = len(old) / max(len(whole), 1)
    book = bound(
        [
            bound([*books, valid]).thinned(int(BOOK_REQUESTS * (1 - share)), (seed, 2)),
            warm.book.thinned(int(BOOK_REQUESTS * share), (seed, 3)),
        ]
    )
    return TunedRanking(trained, known, book, len(targets), len(slates) + sum(len(part) for part in extra))


def tasks_named(dataset: Dataset, names: Sequence[str], outputs: Outputs) -> list[Task]:
    """The champion's tasks in its order; one of which the data says nothing is trained by nothing."""
    known = {task.name: task for task in tasks_of(dataset)}
    silent = np.full(len(dataset.events), np.nan, np.float32)
    found = []
    for name, is_number in zip(names, outputs.is_number.tolist(), strict=True):
        task = known.get(name, Task(name, "number" if is_number else "value", silent))
        if (task.kind == "number") != is_number:
            raise BundleMismatch(
                f"task {name!r} is {'a number' if is_number else 'a yes or no'} in the bundle and not in the data's "
                "rules: train anew with `python -m training fit`"
            )
        found.append(task)
    return found


def kept_where_unsure(outputs: Outputs, warm: Outputs, valid: Samples, least: int = 30) -> Outputs:
    """The champion's calibration where the newest samples hold too few labels; bounds of numbers only ever widen."""
    slope, offset = outputs.slope.copy(), outputs.offset.copy()
    for t, is_number in enumerate(outputs.is_number.tolist()):
        labels = valid.labels[..., t]
        labels = labels[~np.isnan(labels)]
        if is_number or min(float((labels > 0.5).sum()), float((labels < 0.5).sum())) < least:
            slope[t], offset[t] = warm.slope[t], warm.offset[t]
    low = np.where(outputs.is_number, np.minimum(outputs.low, warm.low), outputs.low)
    high = np.where(outputs.is_number, np.maximum(outputs.high, warm.high), outputs.high)
    empty = outputs.is_number & (outputs.low == outputs.high)
    return Outputs(
        slope, offset, np.where(empty, warm.low, low).astype(np.float32),
        np.where(empty, warm.high, high).astype(np.float32), outputs.is_number,
    )  # fmt: skip
