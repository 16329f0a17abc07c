"""Retrieval as pure numpy: the same code answers requests and is evaluated offline."""

from penchant.retrieval.co_visitation import CoVisitation
from penchant.retrieval.features import RETRIEVAL_FEATURES
from penchant.retrieval.model import SOURCES, RetrievalModel, Tower
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
