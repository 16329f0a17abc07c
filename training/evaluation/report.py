"""What an evaluation found: the JSON object that others measure with, and the table for people."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from penchant.item_table import ItemTable
from training.evaluation.bootstrap import paired_intervals
from training.evaluation.metrics import METRICS, Lists, per_target, ranks, summary
from training.evaluation.protocol import TargetSet

PAIRS = (
    ("ranked", "retrieval"),
    ("ranked", "trees"),
    ("ranked", "popularity"),
    ("retrieval", "popularity"),
    ("retrieval", "co_visitation"),
    ("retrieval", "ease"),
)
PAIRED_METRICS = ("ndcg@10", "hr@10")


def measured(
    slates: Mapping[str, Mapping[str, Lists]], missing: Mapping[str, str], targets: TargetSet, table: ItemTable
) -> dict[str, dict[str, dict[str, float] | None]]:
    """METRICS by mask and system; None for a system that was left out."""
    rows = table.rows_of(targets.item_keys).astype(np.int64)
    found: dict[str, dict[str, dict[str, float] | None]] = {}
    for mask, by_system in slates.items():
        found[mask] = {s: summary(lists, rows, table.bundle_rows) for s, lists in by_system.items()}
        found[mask].update(dict.fromkeys(missing))
    return found


def paired(
    slates: Mapping[str, Lists], targets: TargetSet, table: ItemTable, seed: int
) -> dict[str, dict[str, list[float]]]:
    """95 % intervals of the difference between systems, by bootstrap over users, for PAIRS that both ran."""
    rows = table.rows_of(targets.item_keys).astype(np.int64)
    values = {system: per_target(ranks(lists, rows)) for system, lists in slates.items()}
    differences = {
        (f"{a}_minus_{b}", metric): values[a][metric] - values[b][metric]
        for a, b in PAIRS
        if a in values and b in values
        for metric in PAIRED_METRICS
    }
    found: dict[str, dict[str, list[float]]] = {}
    for (name, metric), (low, high) in paired_intervals(differences, targets.users, seed).items():
        found.setdefault(name, {})[metric] = [low, high]
    return found


def print_tables(result: Mapping[str, Any], console: Console) -> None:
    """One table a mask, best NDCG@10 first, and the intervals."""
    for mask, by_system in result["test"].items():
        title = (
            f"{result['dataset']}, {result['protocol']}, {mask}: {result['targets']} targets, {result['users']} users"
        )
        table = Table("system", *METRICS, title=title)
        ran = {system: found for system, found in by_system.items() if found is not None}
        for system in sorted(ran, key=lambda s: -ran[s]["ndcg@10"]):
            table.add_row(system, *(f"{ran[system][metric]:.4f}" for metric in METRICS))
        console.print(table)
    intervals = Table("difference, masked", *PAIRED_METRICS, title="95 % intervals, bootstrap over users")
    for name, by_metric in result["paired"].items():
        intervals.add_row(name.replace("_", " "), *(f"[{low:+.4f}, {high:+.4f}]" for low, high in by_metric.values()))
    console.print(intervals)
    for system, reason in result["left_out"].items():
        console.print(f"{system} left out: {reason}")
    if result["targets_outside_catalogue"]:
        console.print(f"{result['targets_outside_catalogue']} targets are no items of the bundle: they count as misses")
