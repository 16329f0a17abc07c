"""Curves of generated and real sets in one picture: popularity by rank, session lengths, return times."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np

from training.data.dataset import Dataset
from training.data.generator.realism import sessions

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def plot_realism(datasets: Mapping[str, Dataset], path: Path) -> None:
    """Write a PNG; a set without times has the first curve alone."""
    figure, (popularity, lengths, returns) = plt.subplots(1, 3, figsize=(15, 4.5))
    for name, dataset in datasets.items():
        events = dataset.events
        events = events if events.impressions is None else events.take(~events.impressions)
        counts = np.sort(np.bincount(events.items[events.items >= 0]))[::-1]
        counts = counts[counts > 0]
        popularity.loglog((np.arange(len(counts)) + 1) / len(counts), counts / counts.sum(), label=name)
        if not dataset.has_times:
            continue
        order = np.lexsort((events.order, events.times, events.users))
        session_lengths, _, returns_us = sessions(events.users[order], events.times[order])
        for axis, values in ((lengths, session_lengths), (returns, returns_us / 3.6e9)):
            ascending = np.sort(values)
            axis.loglog(ascending, 1.0 - np.arange(len(ascending)) / len(ascending), label=name)
    for axis, title, across, up in (
        (popularity, "popularity", "rank / items", "share of events"),
        (lengths, "session lengths", "events", "share at least as long"),
        (returns, "return times", "hours", "share at least as long"),
    ):
        axis.set(title=title, xlabel=across, ylabel=up)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
