"""Retrieval from data set to bundle files."""
