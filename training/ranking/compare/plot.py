"""One picture: how much better or worse than the default each model is, with its interval."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from training.ranking.compare.contestants import DEFAULT
from training.ranking.compare.table import RANKED


def plot(result: Mapping[str, Any], path: Path) -> None:
    """A panel a task's AUC and GAUC, and one an order's NDCG@10."""
    against = {name: told["less"][DEFAULT] for name, told in result["models"].items() if name != DEFAULT}
    if not against:
        return
    panels = [
        (part, metric) for part, metrics in next(iter(against.values())).items() for metric in metrics
        if metric in RANKED
    ]  # fmt: skip
    names = list(against)[::-1]
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(2.4 * len(panels) + 1, 1.2 + 0.32 * len(names)), sharey=True, squeeze=False
    )
    for axis, (part, metric) in zip(axes[0], panels, strict=True):
        for at, name in enumerate(names):
            d = against[name][part][metric]
            axis.plot([d["low"], d["high"]], [at, at], color="tab:blue")
            axis.plot([d["difference"]], [at], marker="o", color="tab:blue")
        axis.axvline(0.0, color="grey", linestyle=":")
        axis.set_title(f"{part}\n{metric}", fontsize=9)
        axis.tick_params(labelsize=8)
    axes[0][0].set_yticks(range(len(names)), names)
    figure.supxlabel(f"less the default's, {result['dataset']}, seed {result['seed']}", fontsize=9)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
