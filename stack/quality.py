"""python -m stack.quality: what the recipe is worth on a dataset, over seeds, through a running front door.

A seed: fit, a stack on its bundle, `evaluate --through` its front door, and the same offline with HNSW and with exact
search; with --replay the held-out part is played as it happened, too. Says of each seed whether the served numbers
are the offline ones and what the index loses, and leaves the report of what was served beside its JSON.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penchant.bundle import current
from penchant.errors import PenchantError
from penchant.retrieval.index import HNSW_FROM
from penchant.text_table import text_table
from stack import prepare
from stack.layout import KINDS, ROOT, free_layout
from stack.running import running
from stack.steps import Steps

SYSTEMS = ("ranked", "retrieval", "trees", "co_visitation", "popularity", "ease")
METRICS = ("hr@10", "ndcg@10")
SERVED = ("ranked", "retrieval")


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 with the failing step's last words; the last line of stdout is the JSON object of what was measured."""
    options = _parser().parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    runs = []
    try:
        for seed in options.seeds:
            run = measure(options, seed)
            name = f"{run['dataset']}-{run['protocol']}-{seed}.json"
            (options.out / name).write_text(json.dumps(run, indent=1) + "\n")
            _show(run)
            runs.append(run)
    except PenchantError as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary(runs)), flush=True)
    return 0


def measure(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One seed, from data to served numbers. Raises PenchantError."""
    run = (options.run / f"{options.data.name}-{seed}").resolve()
    layout = free_layout(run, run / "bundles", options.services)
    if not options.keep:
        layout.clear()
    steps = Steps(run / "steps")
    fit: dict[str, Any] = {}
    if current(layout.bundles) is None:
        fit = prepare.train(steps, options.data, layout, options.recipe, seed)
    prepare.replay_features(steps, options.data, layout)
    protocol = prepare.protocol_of(layout.bundles)
    asked: list[str | Path] = [
        "-m", "training", "evaluate", "--data", options.data, "--bundles", layout.bundles, "--protocol", protocol,
        "--seed", str(seed),
    ]  # fmt: skip
    if options.max_targets:
        asked += ["--max-targets", str(options.max_targets)]
    replayed: dict[str, Any] = {}
    # Chosen now: a fit takes minutes, in which ports that were free are taken.
    layout = free_layout(run, layout.bundles, options.services, prefer=0)
    with running(layout, steps) as supervisor:
        page = options.out / f"{options.data.name}-{seed}-report.html"
        served = steps.run("evaluate through", *asked, "--through", layout.front_door, "--report", page)
        if options.replay is not None:
            replayed = steps.run(
                "replay", "-m", "training", "replay", "--data", options.data, "--bundles", layout.bundles, "--through",
                layout.front_door, "--seed", str(seed), "--max-targets", str(options.replay),
                "--plot", options.out / f"{options.data.name}-{seed}-replay.png",
            )  # fmt: skip
        supervisor.require_up()
    # A small catalogue has no graph: what serves it then is exact search.
    searches = {"hnsw": "hnsw" if served["bundle_items"] >= HNSW_FROM else "auto", "exact": "exact"}
    offline = {name: steps.run(f"evaluate {name}", *asked, "--index", index) for name, index in searches.items()}
    return {
        **served,
        "seed": seed,
        "fit": fit,
        "served_minus_offline": _largest(served["test"], offline["hnsw"]["test"]),
        "hnsw_over_exact": {
            system: {m: _ratio(offline, system, m) for m in METRICS} for system in SERVED
        },
        "replay": replayed,
        "seconds": steps.seconds_of,
    }  # fmt: skip


def _largest(a: dict[str, Any], b: dict[str, Any]) -> float:
    """The largest difference of any metric of a served system, masked or not."""
    return max(
        abs(float(found) - float(b[mask][system][metric]))
        for mask in a
        for system in SERVED
        for metric, found in a[mask][system].items()
    )


def _ratio(offline: dict[str, Any], system: str, metric: str) -> float:
    hnsw, exact = (offline[index]["test"]["masked"][system][metric] for index in ("hnsw", "exact"))
    return float(hnsw / exact) if exact else 1.0


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means and standard errors over seeds, masked; the intervals and checks of each seed."""
    found: dict[str, Any] = {"dataset": runs[0]["dataset"], "protocol": runs[0]["protocol"], "seeds": len(runs)}
    for system in SYSTEMS:
        by_seed = [run["test"]["masked"].get(system) for run in runs]
        if all(by_seed):
            values = {metric: [one[metric] for one in by_seed] for metric in METRICS}
            found[system] = {
                m: {"mean": statistics.mean(v), "se": statistics.stdev(v) / len(v) ** 0.5 if len(v) > 1 else None}
                for m, v in values.items()
            }
    for name in ("paired", "served_minus_offline", "hnsw_over_exact", "targets_sha256", "degraded"):
        found[name] = [run[name] for run in runs]
    return found


def _show(run: dict[str, Any]) -> None:
    masked = run["test"]["masked"]
    rows = [(s, *(f"{masked[s][m]:.4f}" for m in METRICS)) for s in SYSTEMS if masked.get(s)]
    said = f"\n{run['dataset']}, {run['protocol']}, seed {run['seed']}: {run['targets']} targets, {run['users']} users"
    print(said, text_table(("system, masked", *METRICS), rows), sep="\n", file=sys.stderr)
    for name, by_metric in run["paired"].items():
        low, high = by_metric["ndcg@10"]
        print(f"{name.replace('_', ' ')}: ndcg@10 [{low:+.4f}, {high:+.4f}]", file=sys.stderr)
    print(f"served less offline: at most {run['served_minus_offline']:.5f}", file=sys.stderr)
    print(f"hnsw over exact: {run['hnsw_over_exact']}", file=sys.stderr, flush=True)
    for name, by_metric in run["replay"].get("paired", {}).items():
        print(f"replay, {name.replace('_', ' ')}: {by_metric}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack.quality", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset folder or file")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--max-targets", type=int, default=0, help="a seeded sample of whole users; 0: all")
    parser.add_argument(
        "--replay", type=int, metavar="TARGETS", default=None, help="test, then learn, as well, on so many; 0: all"
    )
    parser.add_argument("--services", choices=KINDS, default="standalone")
    parser.add_argument("--run", type=Path, default=ROOT / ".penchant" / "quality", help="folder of what it makes")
    parser.add_argument(
        "--out", type=Path, default=ROOT / ".penchant" / "quality", help="a page and JSON a seed go here"
    )
    parser.add_argument(
        "--keep", action="store_true", help="evaluate the bundles of an earlier run where there are any"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
