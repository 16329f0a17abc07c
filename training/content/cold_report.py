"""What was measured on cold items, for people."""

from typing import Any

from rich.console import Console
from rich.table import Table


def print_report(result: dict[str, Any], console: Console) -> None:
    """Two tables: cold items among themselves, and the whole catalogue."""
    cold, full = result["among_cold"], result["full_catalogue"]
    console.print(
        f"{result['cold_items']} cold items beside {result['warm_items']}; {result['cold_targets']:,} targets of "
        f"{result['cold_users']:,} users; described by {', '.join(result['described_by'])}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    among = Table("among cold items", "HR@10", "NDCG@10", "tower ahead in HR@10, 95 %")
    tower = {metric: value["mean"] for metric, value in cold["tower"].items()}
    among.add_row("tower", f"{tower['hr@10']:.4f}", f"{tower['ndcg@10']:.4f}", "")
    for name, metrics in cold["others"].items():
        low, high = metrics["hr@10"]["tower_minus_this"]
        among.add_row(
            name, f"{metrics['hr@10']['mean']:.4f}", f"{metrics['ndcg@10']['mean']:.4f}", f"{low:+.4f} to {high:+.4f}"
        )
    console.print(among)
    console.print(f"{cold['times_random']['hr@10']:.2f} times random", highlight=False)
    whole = Table("whole catalogue", "cold HR@10", "95 %", "warm HR@10", "without cold items", "lost")
    for name, found in full.items():
        low, high = found["cold_hr@10_interval"]
        whole.add_row(
            name, f"{found['cold_hr@10']:.4f}", f"{low:.4f} to {high:.4f}", f"{found['warm_hr@10']:.4f}",
            f"{found['warm_hr@10_without_cold_items']:.4f}", f"{100 * found['warm_loss']:.2f} %",
        )  # fmt: skip
    console.print(whole)
