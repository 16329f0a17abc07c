"""python -m training.learning.experiment: is learning on as good as training anew, and what does each cost?

A made-up world is fitted on its first part; the rest comes through an event log, slice by slice. After each slice the
learner updates and, for comparison, everything so far is trained anew; both are asked for a slate before each event of
the slice that follows, which neither has seen. Ends with one JSON line: NDCG@10 of both, the paired interval of their
ratio over users, and CPU by os.times.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from penchant.bundle import current
from penchant.errors import PenchantError
from penchant.event_log import open_event_log
from penchant.log_record import RECORD_VERSION
from penchant.v1 import event_pb2, log_pb2
from training.data.dataset import Dataset
from training.data.generator.settings import GeneratorSettings
from training.data.generator.world import generate
from training.data.read import read_dataset
from training.data.split import history_mask
from training.evaluation.bootstrap import ratio_interval
from training.evaluation.offline import open_bundle
from training.evaluation.protocol import TargetSet
from training.fit import fit
from training.learning.budget import UpdateBudget
from training.learning.contest import observe, target_set_of
from training.learning.journal import Journal
from training.learning.kept import Kept, cpu_s
from training.learning.reading import LogFollower
from training.learning.update import run_update
from training.progress import Tell, shown
from training.recipes import RECIPES, resolve

SYSTEMS = ("learned", "retrained", "frozen")
_BATCH = 5000
_SETTINGS = ("users", "items", "events", "days", "share", "updates", "seed", "recipe")
"""What the world and the fits depend on."""


@dataclass(slots=True)
class Point:
    """One update: how many events were there, what each cost, and NDCG@10 on the slice that follows."""

    events: int
    learned_cpu_s: float
    retrained_cpu_s: float
    published: bool
    verdict: str
    users: NDArray[np.int64]
    ndcg: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    retrieval: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Of the order that retrieval proposed."""

    def to_json(self) -> dict[str, Any]:
        """For the last line."""
        return {
            "events": self.events, "targets": len(self.users), "published": self.published, "verdict": self.verdict,
            "learned_cpu_s": round(self.learned_cpu_s, 2), "retrained_cpu_s": round(self.retrained_cpu_s, 2),
            **{f"{name}_ndcg@10": round(float(values.mean()), 5) for name, values in self.ndcg.items()},
            **{f"{name}_retrieval_ndcg@10": round(float(v.mean()), 5) for name, v in self.retrieval.items()},
        }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 2 for bad input, else 0; the last line of stdout is one JSON object."""
    options = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        with shown(console) as tell:
            result = run(options, console, tell)
    except PenchantError as error:
        console.print(f"[red]experiment:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    if options.plot:
        from training.learning.plot import plot_experiment  # matplotlib takes a second to load

        plot_experiment(result, options.plot)
    print(json.dumps(result), flush=True)
    return 0


def run(options: argparse.Namespace, console: Console, tell: Tell) -> dict[str, Any]:
    """The JSON object of one experiment; what it makes lies below options.out, and what is there is not redone."""
    out: Path = options.out
    kept = Kept.open({name: getattr(options, name) for name in _SETTINGS}, out)
    settings = GeneratorSettings(
        users=options.users, items=options.items, events=options.events, days=options.days, seed=options.seed
    )
    made = 0

    def told_acts(acts: int) -> None:
        nonlocal made
        made += acts
        tell("generate", made / options.events)

    kept.once("data", lambda folder: generate(settings, folder, told_acts))
    dataset = read_dataset(out / "data")
    cuts = _cuts(len(dataset.events), options.share, options.updates)

    def fitted(name: str, events: int) -> float:
        known = first(dataset, events)
        recipe = resolve(options.recipe, known)
        told = _prefixed(tell, f"{name}: ")
        cpu = kept.once(name, lambda folder: fit(known, recipe, folder, options.seed, "none", told))
        console.print(f"{name}: {events:,} events in {cpu:.0f} s of CPU", highlight=False)
        return cpu

    first_cpu = fitted("first", cuts[0])
    retrained_cpu = {
        i: 0.0 if options.skip_retrain else fitted(f"retrained-{i}", cuts[i + 1]) for i in range(options.updates)
    }
    points = learn(options, dataset, cuts, retrained_cpu, console, tell)
    if kept.other_code:
        console.print(f"made by other code than this: {', '.join(kept.other_code)}; remove {out} to fit anew")
    return {**_result(options, len(dataset.events), first_cpu, points), "of_other_code": kept.other_code}


def learn(
    options: argparse.Namespace,
    dataset: Dataset,
    cuts: Sequence[int],
    retrained_cpu: Mapping[int, float],
    console: Console,
    tell: Tell,
) -> list[Point]:
    """Slice by slice from the first fit on, always anew; each bundle is asked about the slice that follows."""
    out: Path = options.out
    bundles = out / "learned"
    for folder in (bundles, out / "log"):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(out / "first", bundles)
    frozen = open_bundle(_published(bundles))
    journal = Journal(first(dataset, cuts[0]))
    follower = LogFollower(str(out / "log"))
    points = []
    for i in range(options.updates):
        start, end, after = cuts[i : i + 3]
        write_log(dataset, np.arange(start, end), out / "log", start == cuts[0])
        cpu = cpu_s()
        follower.read(journal)
        read_cpu = cpu_s() - cpu
        done = run_update(
            journal.view(), bundles, options.budget, options.seed, i, journal.position, tell=_prefixed(tell, f"{i}: ")
        )
        learned_cpu = cpu_s() - cpu
        targets = _targets(dataset, np.arange(end, after), options.targets, options.seed)
        point = Point(
            end, learned_cpu, retrained_cpu[i], done.published, done.verdict.reason if done.verdict else done.reason,
            targets.users,
        )  # fmt: skip
        opened = {"learned": open_bundle(_published(bundles)), "frozen": frozen}
        if not options.skip_retrain:
            opened["retrained"] = open_bundle(_published(out / f"retrained-{i}"))
        for name in SYSTEMS:
            if name in opened:
                observed = observe(opened[name], first(dataset, after), targets)
                point.ndcg[name], point.retrieval[name] = observed.ndcg, observed.retrieval
        points.append(point)
        steps = {"read the log": round(read_cpu, 3), **done.cpu_by_step}
        console.print(json.dumps({**point.to_json(), "cpu_by_step": steps}), highlight=False, soft_wrap=True)
    follower.close()
    return points


def first(dataset: Dataset, count: int) -> Dataset:
    """The same data as if no later event had happened."""
    return replace(dataset, events=dataset.events.take(np.arange(count)))


def write_log(dataset: Dataset, index: NDArray[np.int64], folder: Path, begin: bool) -> None:
    """Append events of a data set to a file log, as ingestion would."""
    log = open_event_log(str(folder))
    try:
        for start in range(0, len(index), _BATCH):
            log.append([_record(dataset, i) for i in index[start : start + _BATCH].tolist()])
    finally:
        log.close()


def _record(dataset: Dataset, i: int) -> bytes:
    events = dataset.events
    item, time_us = int(events.items[i]), int(events.times[i])
    slate = -1 if events.slates is None else int(events.slates[i])
    place = -1 if events.slate_positions is None else int(events.slate_positions[i])
    value = float(events.values[i])
    event = event_pb2.Event(
        user_id=dataset.user_ids[events.users[i]],
        item_id=dataset.item_ids[item] if item >= 0 else "",
        event_type=dataset.event_types[events.types[i]],
        value=None if np.isnan(value) else value,
        recommendation_id=f"slate-{slate}" if slate >= 0 else "",
        position=place if place >= 0 else None,
    )
    event.event_time.FromMicroseconds(time_us)
    record = log_pb2.LogRecord(schema_version=RECORD_VERSION, event=event)
    record.ingest_time.FromMicroseconds(time_us)
    return record.SerializeToString()


def _targets(dataset: Dataset, index: NDArray[np.int64], most: int, seed: int) -> TargetSet:
    """History events of a slice, all of a drawn user's, at most about `most`."""
    index = index[history_mask(dataset)[index]]
    if len(index) > most:
        users, counts = np.unique(dataset.events.users[index], return_counts=True)
        drawn = np.random.default_rng(seed).permutation(len(users))
        taken = max(1, int(np.searchsorted(np.cumsum(counts[drawn]), most, side="right")))
        index = index[np.isin(dataset.events.users[index], users[drawn[:taken]])]
    return target_set_of(dataset, index)


def _cuts(events: int, share: float, updates: int) -> list[int]:
    """Events before the log, at each update, and the end: the last slice is only tested on."""
    return [int(cut) for cut in np.linspace(int(events * (1 - share)), events, updates + 2)]


def _result(options: argparse.Namespace, events: int, first_cpu: float, points: Sequence[Point]) -> dict[str, Any]:
    users = np.concatenate([point.users for point in points])
    names = [name for name in SYSTEMS if name in points[0].ndcg]
    pooled = {name: np.concatenate([p.ndcg[name] for p in points]) for name in names}
    proposed = {name: np.concatenate([p.retrieval[name] for p in points]) for name in names}
    learned_cpu = float(np.mean([point.learned_cpu_s for point in points]))
    result: dict[str, Any] = {
        "events": events, "acts": options.events, "users": options.users, "items": options.items,
        "seed": options.seed, "recipe": options.recipe, "updates": len(points), "targets": len(users),
        "ndcg@10": {name: round(float(values.mean()), 5) for name, values in pooled.items()},
        "retrieval_ndcg@10": {name: round(float(values.mean()), 5) for name, values in proposed.items()},
        "cpu_s": {"first_fit": round(first_cpu, 2), "update": round(learned_cpu, 2)},
        "points": [point.to_json() for point in points],
    }  # fmt: skip
    against_frozen = ratio_interval(pooled["learned"], pooled["frozen"], users, options.seed)
    result["learned_to_frozen"] = [round(bound, 4) for bound in against_frozen]
    if "retrained" in pooled:
        ratio = ratio_interval(pooled["learned"], pooled["retrained"], users, options.seed)
        retrained_cpu = float(np.mean([point.retrained_cpu_s for point in points]))
        result["learned_to_retrained"] = [round(bound, 4) for bound in ratio]
        result["cpu_s"]["retrain"] = round(retrained_cpu, 2)
        result["cpu_ratio"] = round(learned_cpu / max(retrained_cpu, 1e-9), 4)
        result["within_5_percent"] = ratio[0] >= 0.95
        result["a_tenth_of_the_cpu"] = learned_cpu <= 0.1 * retrained_cpu
    return result


def _published(bundles: Path) -> Path:
    folder = current(bundles)
    assert folder is not None
    return folder


def _prefixed(tell: Tell, prefix: str) -> Tell:
    return lambda step, done: tell(prefix + step, done)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.learning.experiment", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of data, log and bundles; a run that broke off goes on there"
    )
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--events", type=int, default=100_000, help="acts; exposures come on top")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--share", type=float, default=0.3, help="of the events, newest last, that the learner learns")
    parser.add_argument("--updates", type=int, default=4, help="so many slices are learned, one more is tested on")
    parser.add_argument("--targets", type=int, default=1000, help="at most about so many a slice")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip-retrain", action="store_true", help="learner and frozen bundle alone")
    parser.add_argument("--plot", type=Path, metavar="PNG", default=None)
    parser.set_defaults(budget=UpdateBudget())
    return parser


if __name__ == "__main__":
    sys.exit(main())
