"""Pictures of the learner: the experiment over time, and drift by quantity."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from training.learning.drift import SLIGHT, STRONG

_LABELS = {"learned": "learned on", "retrained": "trained anew", "frozen": "never updated"}


def plot_experiment(result: Mapping[str, Any], path: Path) -> None:
    """NDCG@10 of each system on the slice after each update, and what the updates cost."""
    points = result["points"]
    at = [point["events"] for point in points]
    figure, (quality, cost) = pyplot.subplots(2, 1, figsize=(8, 7), sharex=True)
    for name, label in _LABELS.items():
        values = [point.get(f"{name}_ndcg@10") for point in points]
        if all(value is not None for value in values):
            quality.plot(at, values, marker="o", label=label)
    quality.set_ylabel("NDCG@10 on the next slice")
    quality.legend()
    cost.plot(at, [point["learned_cpu_s"] for point in points], marker="o", label="an update")
    cost.plot(at, [point["retrained_cpu_s"] for point in points], marker="o", label="training anew")
    cost.set_ylabel("CPU, s")
    cost.set_xlabel("events so far")
    cost.set_yscale("log")
    cost.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def plot_drift(drifts: Sequence[Mapping[str, Any]], path: Path) -> None:
    """PSI by quantity, the largest first, with the lines that are worth a look."""
    shown = drifts[:25][::-1]
    figure, axes = pyplot.subplots(figsize=(8, 1.5 + 0.28 * len(shown)))
    colours = {"none": "tab:green", "slight": "tab:orange", "strong": "tab:red"}
    axes.barh([d["name"] for d in shown], [d["psi"] for d in shown], color=[colours[d["verdict"]] for d in shown])
    for bound in (SLIGHT, STRONG):
        axes.axvline(bound, color="grey", linestyle=":")
    axes.set_xlabel("population stability index")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
