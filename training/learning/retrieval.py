"""Fine-tunes retrieval: the towers on what is new, with old windows against forgetting; counts are taken anew."""

import numpy as np
from numpy.typing import NDArray

from training.catalogue import Catalogue
from training.data.dataset import Dataset
from training.learning.budget import UpdateBudget
from training.retrieval.co_visitation import count_co_visitation
from training.retrieval.fit import fitted_item_map, fresh_towers, position_flop, start_from
from training.retrieval.popular import content_neighbours, fresh_rows, popularity
from training.retrieval.recipe import RetrievalRecipe
from training.retrieval.sequences import Sequences, batches, epoch_windows, sequences
from training.retrieval.train import Plan, Progress, train_on
from training.retrieval.trained import TrainedRetrieval
from training.retrieval.weights import TowerWeights

Windows = tuple[NDArray[np.int64], NDArray[np.int64]]


def tune_retrieval(
    dataset: Dataset,
    catalogue: Catalogue,
    before: NDArray[np.int64],
    is_new: NDArray[np.bool_],
    warm: TowerWeights,
    recipe: RetrievalRecipe,
    budget: UpdateBudget,
    cut_us: int,
    seed: int,
    progress: Progress = lambda done: None,
) -> TrainedRetrieval:
    """From warm weights on, on the events `before`, those of is_new [E] first; equal arguments give equal models."""
    histories = sequences(dataset, catalogue, before)
    rows = catalogue.count + 1
    towers = fresh_towers(catalogue, histories, recipe, seed)
    learned = start_from(towers, catalogue, warm)
    # An item that is new begins as what its content says, and learns the rest.
    towers.forget_ids(~learned)
    train_on(
        towers, histories, plan(histories, is_new, rows, recipe, budget, seed), recipe, seed, progress,
        budget.tower_rate,
    )  # fmt: skip
    return TrainedRetrieval(
        recipe=recipe,
        catalogue=catalogue,
        towers=towers.eval(),
        histories=histories,
        user_ids=dataset.user_ids,
        co_visitation=count_co_visitation(histories, rows, recipe.followers),
        popularity=popularity(histories, rows, cut_us, dataset.has_times, recipe.popular),
        fresh=fresh_rows(catalogue.created, recipe.fresh),
        neighbours=content_neighbours(catalogue.content, recipe.neighbours),
        item_map=fitted_item_map(catalogue, towers, histories),
    )


def plan(
    histories: Sequences,
    is_new: NDArray[np.bool_],
    rows: int,
    recipe: RetrievalRecipe,
    budget: UpdateBudget,
    seed: int,
) -> Plan:
    """Batches of windows, new and old mixed, within budget.tower_share of the recipe's work."""
    affordable = budget.tower_share * recipe.budget_tflop * 1e12 / position_flop(rows, recipe)
    generator = np.random.default_rng(seed)
    fresh = new_windows(histories, is_new, recipe.history_length)
    chosen: list[Windows] = []
    spent = 0
    for _ in range(budget.new_passes):
        cost = int((fresh[1] - fresh[0]).sum())
        room = affordable * budget.new_share - spent
        if cost == 0 or room <= 0:
            break
        taken = fresh if cost <= room else _within(fresh, room, generator)
        chosen.append(taken)
        spent += int((taken[1] - taken[0]).sum())
    while spent < affordable:
        old = epoch_windows(histories, recipe.history_length, recipe.window_share, generator)
        taken = _within(old, affordable - spent, generator)
        cost = int((taken[1] - taken[0]).sum())
        if cost == 0:
            break
        chosen.append(taken)
        spent += cost
    if not chosen:
        return []
    starts, ends = (np.concatenate([windows[side] for windows in chosen]) for side in (0, 1))
    return [
        (starts[places], ends[places])
        for places in batches(starts, ends, recipe.batch_windows, recipe.batch_positions, generator)
    ]


def new_windows(histories: Sequences, is_new: NDArray[np.bool_], length: int) -> Windows:
    """(starts, ends) of windows of at most length + 1 rows that hold every new row that has one before it.

    A user's last window ends with the history; each earlier one ends where the next one's new rows begin.
    """
    new = is_new[histories.events]
    counts = np.bincount(histories.users[new], minlength=len(histories.lengths))
    able = np.flatnonzero((counts > 0) & (histories.lengths >= 2))
    repeats = -(-counts[able] // length)
    users = np.repeat(able, repeats)
    back = np.arange(len(users)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    ends = histories.indptr[users + 1] - back * length
    starts = np.maximum(ends - length - 1, histories.indptr[users])
    kept = ends - starts >= 2
    return starts[kept], ends[kept]


def _within(windows: Windows, positions: float, generator: np.random.Generator) -> Windows:
    """A random part of the windows whose lengths add up to at most so many positions."""
    order = generator.permutation(len(windows[0]))
    lengths = np.cumsum((windows[1] - windows[0])[order])
    order = order[lengths <= positions]
    return windows[0][order], windows[1][order]
