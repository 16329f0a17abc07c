"""python -m training.ranking.compare: rankers side by side, on the very same samples."""
