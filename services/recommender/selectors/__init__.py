"""Selectors: which of the scored candidates make the slate, and in which order."""

from services.recommender.selectors.mmr import MMRSelector, mmr
from services.recommender.selectors.selector import Selector, select_slate, selector_of
from services.recommender.selectors.top_k import TopKSelector

__all__ = ["MMRSelector", "Selector", "TopKSelector", "mmr", "select_slate", "selector_of"]
