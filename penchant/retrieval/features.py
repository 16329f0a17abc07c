"""What retrieval tells the ranker of each candidate: the columns of Candidates.features."""

RETRIEVAL_FEATURES = (
    "blend", "two_tower", "co_visitation", "last_co_visitation", "popular", "content", "reciprocal_rank",
)  # fmt: skip
BLEND, DOT, CO_VISITATION, LAST_CO_VISITATION, POPULAR, CONTENT, RECIPROCAL_RANK = range(len(RETRIEVAL_FEATURES))
