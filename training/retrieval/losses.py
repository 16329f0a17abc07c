"""What a step of training minimises, by the name that a recipe gives."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from training.retrieval.gbce import gbce_loss
from training.retrieval.sequences import Sequences
from training.retrieval.softmax import catalogue_loss, sampled_loss
from training.retrieval.tower import Towers

Loss = Callable[[Towers, Tensor, Tensor], Tensor]
"""Of towers, windows [B, L] of rows, and the log chance [N+1] with which a popular row is drawn as a negative."""
_Against = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""A loss of states [P, D], vectors [R, D], and targets [P] and drawn rows [K] as places among these vectors."""


def softmax(towers: Towers, window_BL: Tensor, log_chance_N: Tensor) -> Tensor:
    """Mean cross-entropy of each next item, over the whole catalogue or, where that is large, a sample of it."""
    if len(log_chance_N) - 1 > towers.recipe.full_softmax_to:
        return sampled_softmax(towers, window_BL, log_chance_N)
    vectors = towers.item_vectors(_kept_ids(towers, len(log_chance_N)))
    states, targets = _next_items(towers, window_BL, vectors)
    return catalogue_loss(states, vectors, targets)


def sampled_softmax(towers: Towers, window_BL: Tensor, log_chance_N: Tensor) -> Tensor:
    """Mean cross-entropy of each next item against rows drawn half by their events, half evenly."""
    keep = _kept_ids(towers, len(log_chance_N))
    drawn = torch.multinomial(log_chance_N.exp(), towers.recipe.negatives, replacement=True)
    chance = log_chance_N[drawn]
    return _sampled(towers, window_BL, keep, drawn, lambda s, v, t, places: sampled_loss(s, v, t, places, chance))


def gbce(towers: Towers, window_BL: Tensor, log_chance_N: Tensor) -> Tensor:
    """gSASRec's loss against evenly drawn rows, the same ones for a whole batch."""
    items, recipe = len(log_chance_N) - 1, towers.recipe
    keep = _kept_ids(towers, items + 1)
    drawn = torch.randint(1, items + 1, (recipe.negatives,))
    calibration = recipe.gbce_calibration
    return _sampled(towers, window_BL, keep, drawn, lambda s, v, t, k: gbce_loss(s, v, t, k, items, calibration))


LOSSES: dict[str, Loss] = {"softmax": softmax, "sampled_softmax": sampled_softmax, "gbce": gbce}


def log_chance(histories: Sequences, rows: int) -> Tensor:
    """Log probability with which a row is drawn as a negative: half by its events, half evenly; row 0 never."""
    counts = np.bincount(histories.rows, minlength=rows).astype(np.float64)
    chance = 0.5 * counts / max(counts.sum(), 1.0) + 0.5 / max(rows - 1, 1)
    chance[0] = 0.0
    return torch.from_numpy(np.log(np.maximum(chance, 1e-30)).astype(np.float32))


def _kept_ids(towers: Towers, rows: int) -> Tensor:
    """Whose id counts in this step, [N+1, 1] of 0 and 1; what has no content never does without its id."""
    return ((torch.rand(rows, 1) >= towers.recipe.id_dropout) | ~towers.speaks).float()


def _sampled(towers: Towers, window_BL: Tensor, keep_N: Tensor, drawn_K: Tensor, against: _Against) -> Tensor:
    # Only the rows of the batch and the negatives are embedded, so that a step's cost does not grow with the catalogue.
    rows, place = torch.unique(
        torch.cat([torch.zeros(1, dtype=torch.int64), window_BL.flatten(), drawn_K]), return_inverse=True
    )
    vectors = towers.item_vectors(keep_N, rows)
    window_BL = place[1 : 1 + window_BL.numel()].view_as(window_BL)
    states, targets = _next_items(towers, window_BL, vectors)
    return against(states, vectors, targets, place[-len(drawn_K) :])


def _next_items(towers: Towers, window_BL: Tensor, vectors_ND: Tensor) -> tuple[Tensor, Tensor]:
    """States [P, D] and the items [P] that came next, of every place that is no padding."""
    history, target = window_BL[:, :-1], window_BL[:, 1:]
    counted = (history > 0) & (target > 0)
    return towers.encode(history, vectors_ND)[counted], target[counted]
