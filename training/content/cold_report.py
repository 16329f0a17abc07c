"""What was measured on cold items, for people."""

from typing import Any

from rich.console import Console
from rich.table import Table


def print_report(result: dict[str, Any], console: Console) -> None:
    """Tables: cold items among themselves, and what became of them in the whole catalogue."""
    if "among_cold" in result:
        console.print(
            f"{result['cold_items']} cold items beside {result['warm_items']}; {result['cold_targets']:,} targets of "
            f"{result['cold_users']:,} users; described by {', '.join(result['described_by'])}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        _print_among(result["among_cold"], console)
        _print_whole("whole catalogue, retrieval's order", result["full_catalogue"], console)
    if "as_served" in result:
        _print_whole(f"slates, {result.get('through', 'as served')}", result["as_served"], console)
    if "equal_to_offline" in result:
        shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in result["equal_to_offline"].items())
        console.print(f"slates equal to those offline: {shares}", highlight=False)


def _print_among(cold: dict[str, Any], console: Console) -> None:
    among = Table("among cold items", "HR@10", "NDCG@10", "tower ahead in HR@10, 95 %", "ahead of popularity")
    tower = {metric: value["mean"] for metric, value in cold["tower"].items()}
    low, high = cold["tower"]["hr@10"]["minus_popular"]
    among.add_row("tower", f"{tower['hr@10']:.4f}", f"{tower['ndcg@10']:.4f}", "", f"{low:+.4f} to {high:+.4f}")
    for name, metrics in cold["others"].items():
        ahead = [metrics["hr@10"].get(key) for key in ("tower_minus_this", "minus_popular")]
        said = [f"{bounds[0]:+.4f} to {bounds[1]:+.4f}" if bounds else "" for bounds in ahead]
        among.add_row(name, f"{metrics['hr@10']['mean']:.4f}", f"{metrics['ndcg@10']['mean']:.4f}", *said)
    console.print(among)
    console.print(f"{cold['times_random']['hr@10']:.2f} times random", highlight=False)


def _print_whole(title: str, systems: dict[str, Any], console: Console) -> None:
    console.print(title, highlight=False)
    whole = Table("", "cold HR@10", "95 %", "warm HR@10", "without cold items", "lost", "95 %", "cold shown")
    for name, found in systems.items():
        low, high = found["cold_hr@10_interval"]
        least, most = found["warm_loss_interval"]
        whole.add_row(
            name, f"{found['cold_hr@10']:.4f}", f"{low:.4f} to {high:.4f}", f"{found['warm_hr@10']:.4f}",
            f"{found['warm_hr@10_without_cold_items']:.4f}", f"{100 * found['warm_loss']:.2f} %",
            f"{100 * least:.2f} to {100 * most:.2f}",
            f"{found['cold_items_shown']:.2f}" if "cold_items_shown" in found else "",
        )  # fmt: skip
    console.print(whole)
