"""The table and the curve of a comparison."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot
from rich.console import Console

from penchant.text_table import text_table
from training.retrieval.measure import MASKS, METRICS


def cpu_s(run: Mapping[str, Any], system: str) -> float:
    """What it took to have a system: the second stage needs the first and the blend."""
    first = float(run["first_cpu_s"]) + (float(run["choose_cpu_s"]) if system.endswith("blended") else 0.0)
    if system.startswith("first"):
        return first
    return float(run["first_cpu_s"]) + float(run["choose_cpu_s"]) + float(run["second_cpu_s"])


def print_tables(result: Mapping[str, Any], console: Console) -> None:
    """One table a mask: the baselines, and every run's systems; then the intervals."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    for mask in MASKS:
        rows = [(system, "", "", "", "", *_told(found)) for system, found in result["baselines"][mask].items()]
        for run in result["runs"]:
            what = (run["recipe"], str(run["seed"]), f"{run['share']:g}")
            for system, found in run["test"][mask].items():
                if system != "co_visitation":
                    rows.append((*what, system.replace("_", ", "), f"{cpu_s(run, system):.0f}", *_told(found)))
        if result["runs"]:
            rows.append(("co_visitation", "", "", "", "", *_told(result["runs"][-1]["test"][mask]["co_visitation"])))
        say(f"\n{result['dataset']}, {result['protocol']}, {mask}: {result['targets']} targets, exact search")
        say(text_table(("model", "seed", "share", "stage", "CPU s", *METRICS), rows))
    for name, by_metric in result["paired"].items():
        told = ", ".join(f"{metric} [{low:+.4f}, {high:+.4f}]" for metric, (low, high) in by_metric.items())
        say(f"{name.replace('_minus_', ' less ')}, second stage blended, masked, 95 %: {told}")


def _told(found: Mapping[str, float]) -> list[str]:
    return [f"{found[metric]:.4f}" for metric in METRICS]


def plot_curve(result: Mapping[str, Any], path: Path) -> None:
    """NDCG@10, masked, against CPU: a line a recipe, the mean over seeds; dashed the tower alone."""
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for place, name in enumerate(dict.fromkeys(run["recipe"] for run in result["runs"])):
        for system, line in (("second_blended", "-"), ("first_alone", ":")):
            by_share: dict[float, list[tuple[float, float]]] = {}
            for run in result["runs"]:
                if run["recipe"] == name:
                    quality = float(run["test"]["masked"][system]["ndcg@10"])
                    by_share.setdefault(run["share"], []).append((cpu_s(run, system), quality))
            points = np.array([np.mean(by_share[share], axis=0) for share in sorted(by_share)])
            label = name if system == "second_blended" else None
            axes.plot(points[:, 0], points[:, 1], line, marker="o", label=label, color=f"C{place}")
    axes.set_xscale("log")
    axes.set_xlabel("CPU, s (solid: served blend; dotted: tower alone, trained on the training part)")
    axes.set_ylabel("NDCG@10, masked")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
