"""What a replay found: the JSON object, the tables for people, and the plot over time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from training.evaluation.bootstrap import paired_intervals, ratio_interval
from training.evaluation.metrics import PerTarget, per_target, ranks
from training.evaluation.protocol import TargetSet
from training.evaluation.segments import AGES, by_age
from training.replay.play import SYSTEMS, Played

METRICS = ("hr@10", "ndcg@10", "mrr")
_POINTS = 40


def values_of(played: Played, target_rows: NDArray[np.int64]) -> dict[str, dict[str, PerTarget]]:
    """METRICS of every target, by system."""
    return {s: {m: per_target(ranks(played.slates[s], target_rows))[m] for m in METRICS} for s in SYSTEMS}


def measured(
    played: Played, values: Mapping[str, Mapping[str, PerTarget]], targets: TargetSet, seed: int
) -> dict[str, Any]:
    """Means by system and by user age, paired intervals, freshness."""
    result: dict[str, Any] = {}
    for system in SYSTEMS:
        means: dict[str, Any] = {m: _mean(values[system][m]) for m in METRICS}
        means["by_user_age"] = {
            name: {
                "targets": int(chosen.sum()),
                **{m: _mean(values[system][m][chosen]) for m in METRICS},
            }
            for name, chosen in by_age(played.ages - 1).items()
        }
        result[system] = means
    others = [s for s in SYSTEMS if s != "live"]
    differences = {(s, m): values["live"][m] - values[s][m] for s in others for m in METRICS}
    paired: dict[str, Any] = {}
    for (system, metric), (low, high) in paired_intervals(differences, targets.users, seed).items():
        paired.setdefault(f"live_minus_{system}", {})[metric] = [low, high]
    for system in others:
        live, other = values["live"]["hr@10"], values[system]["hr@10"]
        interval = [v if np.isfinite(v) else None for v in ratio_interval(live, other, targets.users, seed)]
        ratio = float(live.sum() / other.sum()) if other.sum() else None
        paired[f"live_over_{system}"] = {"hr@10": ratio, "hr@10_interval": interval}
    result["paired"] = paired
    fresh = np.array(played.freshness_ms)
    result["freshness_ms"] = {f"p{q}": float(np.percentile(fresh, q)) if len(fresh) else None for q in (50, 99)}
    return result


def print_tables(result: Mapping[str, Any], console: Console) -> None:
    """A row a system, and the intervals."""
    table = Table("system", *METRICS, *(f"hr@10, {a.replace('_', ' ')}" for a in AGES), title="test, then learn")
    for system in SYSTEMS:
        ages = (f"{result[system]['by_user_age'][a]['hr@10']:.4f}" for a in AGES)
        table.add_row(system, *(f"{result[system][m]:.4f}" for m in METRICS), *ages)
    console.print(table)
    for name, by_metric in result["paired"].items():
        if "hr@10_interval" in by_metric:
            shown = ["-" if v is None else f"{v:.3f}" for v in (by_metric["hr@10"], *by_metric["hr@10_interval"])]
            console.print(f"{name}: hr@10 ratio {shown[0]} [{shown[1]}, {shown[2]}]", highlight=False)


def plot(
    path: Path, values: Mapping[str, Mapping[str, PerTarget]], times_us: NDArray[np.int64], has_times: bool
) -> None:
    """HR@10 over time by system, running means of equally many targets, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    order = np.argsort(times_us, kind="stable")
    pieces = [p for p in np.array_split(order, min(_POINTS, max(len(order), 1))) if len(p)]
    if has_times:
        at: list[Any] = [np.datetime64(int(times_us[p].mean()), "us") for p in pieces]
    else:
        at = [int(p.mean()) for p in pieces]
    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    for system in SYSTEMS:
        axes.plot(at, [values[system]["hr@10"][p].mean() for p in pieces], marker=".", label=system.replace("_", " "))
    axes.set(
        xlabel="time" if has_times else "targets", ylabel="HR@10", title="Test, then learn, through the front door"
    )
    axes.set_ylim(bottom=0)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.autofmt_xdate()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _mean(values: PerTarget) -> float:
    return float(values.mean()) if len(values) else 0.0
