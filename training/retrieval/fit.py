"""Trains retrieval: counts first, then the towers by softmax over the catalogue."""

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.errors import BundleMismatch
from penchant.types import Matrix
from training.catalogue import Catalogue
from training.content.encoders.trained import with_encoders
from training.content.item_map import ItemMap, fit_map
from training.data.dataset import Dataset
from training.retrieval.co_visitation import count_co_visitation
from training.retrieval.encoders import encoder_type
from training.retrieval.popular import content_neighbours, fresh_rows, popularity
from training.retrieval.recipe import RetrievalRecipe
from training.retrieval.sequences import Sequences, batches, epoch_windows, sequences
from training.retrieval.spectral import spectral_vectors
from training.retrieval.tower import Towers
from training.retrieval.train import Plan, Progress, train_on
from training.retrieval.trained import TrainedRetrieval
from training.retrieval.weights import TowerWeights
from training.run import Part


def fit_retrieval(
    dataset: Dataset,
    catalogue: Catalogue,
    index: NDArray[np.int64],
    recipe: RetrievalRecipe,
    seed: int,
    warm: TrainedRetrieval | None = None,
    cut_us: int | None = None,
    progress: Progress = lambda done: None,
    part: Part | None = None,
) -> TrainedRetrieval:
    """Train on the events `index` and nothing else; equal arguments give equal models.

    warm: an older model of the same recipe to start from; then the budget's warm_share is enough. cut_us: where the
    popularity windows end; the newest of the events by default. part: how the training is carried out.
    """
    histories = sequences(dataset, catalogue, index)
    if cut_us is None:
        cut_us = int(dataset.events.times[index].max()) if len(index) else 0
    rows = catalogue.count + 1
    towers = fresh_towers(catalogue, histories, recipe, seed)
    follow = count_co_visitation(histories, rows, recipe.followers)
    if warm is None:
        towers.start_ids(spectral_vectors(histories, follow, recipe.dim))
    else:
        start_from(towers, catalogue, warm.weights)
    share = recipe.warm_share if warm is not None else 1.0
    plan = _plan(histories, rows, recipe, seed, share)
    media = catalogue.attributes.image or catalogue.attributes.audio
    of_towers = 0.7 if media else 1.0
    losses = train_on(
        towers, histories, plan, recipe, seed, lambda done: progress(of_towers * done), part=part
    )  # fmt: skip
    return TrainedRetrieval(
        recipe=recipe,
        catalogue=catalogue,
        towers=towers.eval(),
        histories=histories,
        user_ids=dataset.user_ids,
        co_visitation=follow,
        popularity=popularity(histories, rows, cut_us, dataset.has_times, recipe.popular),
        fresh=fresh_rows(catalogue.created, recipe.fresh),
        neighbours=content_neighbours(catalogue.content, recipe.neighbours),
        losses=losses,
        item_map=fitted_item_map(
            catalogue, towers, histories, lambda done: progress(of_towers + (1 - of_towers) * done)
        ),
    )


def fitted_item_map(
    catalogue: Catalogue, towers: Towers, histories: Sequences, progress: Progress = lambda done: None
) -> ItemMap:
    """The item tower that goes with trained towers, and the encoders of media that it reads."""
    with torch.no_grad():
        vectors: Matrix = towers.item_vectors().numpy()
    counts = np.bincount(histories.rows, minlength=len(vectors))
    names = towers.recipe.media_encoders.split(",") if towers.recipe.media_encoders else []
    reader = with_encoders(catalogue, names, vectors, counts, towers.recipe.media_shown, progress)
    return fit_map(reader, lambda rows: reader.vectors(catalogue.written(rows)), vectors, counts)


def epochs(histories: Sequences, items: int, recipe: RetrievalRecipe, share: float) -> int:
    """Passes over the data that the budget pays for, from its size alone."""
    positions = int(np.maximum(histories.lengths - 1, 0).sum())
    affordable = share * recipe.budget_tflop * 1e12 / max(position_flop(items, recipe) * positions, 1)
    return int(np.clip(round(affordable), recipe.min_epochs, max(recipe.max_epochs * share, recipe.min_epochs)))


def position_flop(items: int, recipe: RetrievalRecipe) -> int:
    """Operations of matrix products that one place of a window costs, forward and backward."""
    return 6 * (encoder_type(recipe.encoder).multiplications(recipe) + recipe.scored(items) * recipe.dim)


def fresh_towers(catalogue: Catalogue, histories: Sequences, recipe: RetrievalRecipe, seed: int) -> Towers:
    """Towers of random weights; rows without events have no id."""
    counts = np.bincount(histories.rows, minlength=catalogue.count + 1)
    counts[0] = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Towers(recipe, torch.from_numpy(catalogue.content.copy()), torch.from_numpy(counts > 0))


def start_from(towers: Towers, catalogue: Catalogue, warm: TowerWeights) -> NDArray[np.bool_]:
    """Take over every weight; ids by item key, so that the catalogues may differ. Which rows [N+1] had a learned id.

    Raises BundleMismatch where the weights are another encoder's.
    """
    state = {name: torch.from_numpy(value.copy()) for name, value in warm.state.items() if name != "ids_ND"}
    missing = towers.load_state_dict(state, strict=False).missing_keys
    if missing != ["ids_ND"]:
        raise BundleMismatch(
            f"the older model has no weights for {', '.join(missing)}: it is of another encoder than "
            f"{towers.recipe.encoder!r}, so fit anew"
        )
    old_keys = warm.keys[1:]
    place = np.minimum(np.searchsorted(old_keys, catalogue.keys), max(len(old_keys) - 1, 0))
    shared = (old_keys[place] == catalogue.keys) if len(old_keys) else np.zeros(len(catalogue.keys), np.bool_)
    shared[0] = False
    # An id that never was a target was only ever pushed away: such rows start anew.
    taken = shared & warm.learned[np.where(shared, place + 1, 0)]
    with torch.no_grad():
        towers.ids_ND[torch.from_numpy(taken)] = torch.from_numpy(warm.state["ids_ND"][place[taken] + 1])
    return taken


def _plan(histories: Sequences, rows: int, recipe: RetrievalRecipe, seed: int, share: float) -> Plan:
    """As many passes over windows of all histories as the share of the budget pays for."""
    generator = np.random.default_rng(seed)
    plan = []
    for _ in range(epochs(histories, rows, recipe, share)):
        starts, ends = epoch_windows(histories, recipe.history_length, recipe.window_share, generator)
        for places in batches(starts, ends, recipe.batch_windows, recipe.batch_positions, generator):
            plan.append((starts[places], ends[places]))
    return plan
