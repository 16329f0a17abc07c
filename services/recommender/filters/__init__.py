"""Filters: the only stage that removes, and it says what it removed."""

from services.recommender.filters.excluded import ExcludedFilter
from services.recommender.filters.filter import Filter, run_filters
from services.recommender.filters.hidden import HiddenFilter
from services.recommender.filters.returnable import NonReturnableFilter
from services.recommender.filters.seen import SeenItemsFilter
from services.recommender.filters.unavailable import UnavailableFilter

__all__ = [
    "ExcludedFilter",
    "Filter",
    "HiddenFilter",
    "NonReturnableFilter",
    "SeenItemsFilter",
    "UnavailableFilter",
    "run_filters",
]
