"""What an evaluation found: the JSON object that others measure with, and the table for people."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from penchant.item_table import ItemTable
from training.evaluation.behaviour import RATES
from training.evaluation.lists import LIST_METRICS
from training.evaluation.metrics import METRICS, Lists, PerTarget, per_target, ranks, summary
from training.evaluation.pairs import PAIRED_METRICS
from training.evaluation.probability import PROBABILITY_METRICS
from training.evaluation.protocol import TargetSet


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


def values_of(slates: Mapping[str, Lists], targets: TargetSet, table: ItemTable) -> dict[str, dict[str, PerTarget]]:
    """Metrics that are a mean over targets, one value a target, by system."""
    rows = table.rows_of(targets.item_keys).astype(np.int64)
    return {system: per_target(ranks(lists, rows)) for system, lists in slates.items()}


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
    beyond = Table("system, masked", *LIST_METRICS, title="what the lists are like")
    for system, found in result["lists"]["masked"].items():
        beyond.add_row(system, *("-" if found[m] is None else f"{found[m]:.4f}" for m in LIST_METRICS))
    console.print(beyond)
    for metric, reason in result["lists_left_out"].items():
        console.print(f"{metric} left out: {reason}", highlight=False)
    for kind, segments in result["segments"].items():
        names = [name for name, found in segments.items() if found["targets"]]
        parts = Table(
            "ndcg@10, masked", *(f"{name.replace('_', ' ')} ({segments[name]['targets']})" for name in names),
            title=f"targets by {'their users’ history' if kind == 'user' else 'their items’ popularity'}",
        )  # fmt: skip
        for system in result["lists"]["masked"]:
            parts.add_row(system, *(f"{segments[name]['test'][system]['ndcg@10']:.4f}" for name in names))
        console.print(parts)
    _print_heads(result["heads"], console)
    for found in filter(None, (result["behaviour"], result["served"])):
        rates = [f"{name} {found[name]['value']:.4f}" for name in RATES if found[name] is not None]
        console.print(f"as logged in {found['of']}: {', '.join(rates) or 'nothing to tell'}", highlight=False)
    for system, reason in result["left_out"].items():
        console.print(f"{system} left out: {reason}")
    if result["targets_outside_catalogue"]:
        console.print(f"{result['targets_outside_catalogue']} targets are no items of the bundle: they count as misses")


def _print_heads(heads: Mapping[str, Any], console: Console) -> None:
    table = Table("task, system", *PROBABILITY_METRICS, title="held-out rows whose outcome is known")
    for task, found in heads["tasks"].items():
        for system, by_metric in found["systems"].items():
            values = (by_metric[m] for m in PROBABILITY_METRICS)
            table.add_row(f"{task}, {system}", *("-" if v is None else f"{v:.4f}" for v in values))
    if heads["tasks"]:
        console.print(table)
    for task, reason in heads["left_out"].items():
        console.print(f"task {task} left out: {reason}", highlight=False)
