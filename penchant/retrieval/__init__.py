"""Retrieval as pure numpy: the same code answers requests and is evaluated offline."""

from penchant.retrieval.co_visitation import CoVisitation
from penchant.retrieval.model import RETRIEVAL_FEATURES, SOURCES, RetrievalModel, Tower
from penchant.retrieval.search import Search, exact_search
from penchant.retrieval.settings import RetrievalSettings

__all__ = [
    "RETRIEVAL_FEATURES",
    "SOURCES",
    "CoVisitation",
    "RetrievalModel",
    "RetrievalSettings",
    "Search",
    "Tower",
    "exact_search",
]
