"""What needs no model of the user: popularity by window."""

import numpy as np

from penchant.retrieval.model import RetrievalModel
from penchant.types import Mask, Rows
from training.evaluation.metrics import LIST_LENGTH, Lists


def popular_orders(model: RetrievalModel) -> list[Rows]:
    """One order of the catalogue a window, the window's own rows first and the all-time order after them."""
    scores = model.popular_scores[1:]
    all_time = (np.lexsort((np.arange(len(scores)), -scores)) + 1).astype(np.uint32)
    orders = [all_time]
    for window in model.popular_rows:
        own = window[window > 0]
        orders.append(np.concatenate([own, all_time[~np.isin(all_time, own)]]))
    return orders


def first_allowed(order: Rows, allowed: Mask) -> Rows:
    """The first LIST_LENGTH allowed rows of an order."""
    head = order[: 4 * LIST_LENGTH]
    kept = head[allowed[head]]
    if len(kept) < LIST_LENGTH:
        kept = order[allowed[order]]
    return kept[:LIST_LENGTH]


def best_of(lists_by_window: list[Lists], ndcg_by_window: list[float]) -> Lists:
    """The window that does best on the targets themselves: popularity is given every advantage."""
    return lists_by_window[int(np.argmax(ndcg_by_window))]
