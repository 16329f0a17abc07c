"""Ranking: the item table, the feature matrix, and a bundle's ONNX ranker."""
