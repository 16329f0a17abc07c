"""The comparison for people: a table of metrics a task, and one of the intervals that matter."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from training.ranking.compare.contestants import DEFAULT

RANKED = ("auc", "gauc", "requests_ndcg@10", "slates_ndcg@10")
"""Metrics of order, whose intervals are shown and drawn."""


def print_tables(result: Mapping[str, Any], console: Console) -> None:
    """Metrics of each task and of the order; then each model less the baselines."""
    models = result["models"]
    tasks = next(iter(models.values()))["metrics"]
    for task in tasks:
        names = list(tasks[task])
        count = result["impressions"].get(task)
        title = task if count is None else f"{task}: {count:,} labels, mean {result['positives'][task]:.3f}"
        table = Table("model", *names, *(["serving ms", "training CPU s"] if task == "order" else []), title=title)
        for model, told in models.items():
            cells = [f"{told['metrics'][task][name]:.4f}" for name in names]
            if task == "order":
                cells += [f"{told['serving_ms']:.2f}" if "serving_ms" in told else "", f"{told['cpu_s']:.0f}"]
            table.add_row(model, *cells)
        console.print(table)
    less = Table("less", "", "metric", "difference", "95 % over users", title="paired, by bootstrap over users")
    for model, told in models.items():
        # Each beside the default, and the default beside the others that matter; the rest is in the JSON.
        for other in told["less"] if model == DEFAULT else [DEFAULT]:
            for part, metrics in told["less"][other].items():
                for metric, d in metrics.items():
                    if metric not in RANKED:
                        continue
                    interval = f"{d['low']:+.4f} to {d['high']:+.4f}"
                    sure = d["low"] > 0 or d["high"] < 0
                    shown = f"[bold]{interval}[/bold]" if sure else interval
                    less.add_row(model, other, f"{part} {metric}", f"{d['difference']:+.4f}", shown)
    console.print(less)
