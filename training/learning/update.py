"""One update: what is new is learned, the result is judged on what is newer still, and published if it is not worse."""

import re
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.bundle import Manifest, current, publish, verify
from penchant.errors import BundleMismatch
from training.data.dataset import Dataset
from training.data.split import history_mask
from training.evaluation.offline import OpenBundle, open_bundle
from training.evaluation.protocol import TargetSet
from training.learning.budget import UpdateBudget
from training.learning.challenger import Lesson, with_metrics, write_challenger
from training.learning.contest import Observed, Verdict, judge, observe, target_set_of
from training.learning.drift import REFERENCE_EVENTS, Drift, drifts, reference_of
from training.learning.exposures import Join, samples_of, skew
from training.learning.files import FOLDER
from training.learning.journal import View
from training.learning.warm import Warm
from training.progress import Tell
from training.ranking.recipe import served_ranking
from training.ranking.samples import Samples, Stage
from training.ranking.tasks import Task


@dataclass(frozen=True, slots=True)
class Division:
    """Events of a view by their index: what the champion has not learned, what to learn, what to judge by."""

    is_new: NDArray[np.bool_]
    """[E]"""
    before: NDArray[np.int64]
    """Everything that may be learned."""
    new: int
    """New history events among them."""
    targets: TargetSet


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update did."""

    champion: str
    bundle: str
    """The challenger's version; empty where there was too little to learn from."""
    verdict: Verdict | None
    new_events: int
    new_targets: int
    requests: int
    shown: int
    drifts: Sequence[Drift] = ()
    cpu_s: float = 0.0
    wall_s: float = 0.0
    reason: str = ""
    cpu_by_step: dict[str, float] = field(default_factory=dict)
    skew: tuple[int, float] = (0, 0.0)
    """Logged slates that were computed again, and the largest difference."""

    @property
    def published(self) -> bool:
        """Whether the pointer moved."""
        return self.verdict is not None and self.verdict.publish

    def to_json(self) -> dict[str, Any]:
        """One line of the learner's output."""
        contest = self.verdict.to_json() if self.verdict else {"published": False, "verdict": self.reason}
        return {
            "from": self.champion, "to": self.bundle, "new_events": self.new_events, "new_targets": self.new_targets,
            "requests": self.requests, "shown": self.shown, **contest,
            "drift": [drift.to_json() for drift in self.drifts[:5]],
            "skew": {"slates": self.skew[0], "worst": self.skew[1]}, "cpu_s": round(self.cpu_s, 3),
            "wall_s": round(self.wall_s, 3), "cpu_by_step": self.cpu_by_step,
        }  # fmt: skip


def divide(view: View, manifest: Manifest, budget: UpdateBudget, judged_after: int = 0) -> Division:
    """The newest new history events judge, all before them is learned.

    New is what came after the champion's cut, in time or in the log. judged_after: only events of a later log
    position judge.
    """
    events = view.dataset.events
    learned_to = int(manifest.lineage.get("position", np.iinfo(np.int64).max))
    is_new = (events.times > manifest.cut_us) | (view.positions > learned_to)
    targets = np.flatnonzero(is_new & history_mask(view.dataset))
    count = min(budget.contest_targets, int(len(targets) * budget.contest_share))
    judging = targets[len(targets) - count :]
    first = int(judging[0]) if len(judging) else len(events)
    judging = judging[view.positions[judging] > judged_after] if judged_after else judging
    before = np.arange(first, dtype=np.int64)
    return Division(is_new, before, len(targets) - count, target_set_of(view.dataset, judging))


def run_update(
    view: View,
    bundles: Path,
    budget: UpdateBudget,
    seed: int,
    update: int,
    position: int,
    held_after: int | None = None,
    join: Callable[[int, int], Join] | None = None,
    tell: Tell = lambda step, done: None,
) -> Updated:
    """Learn from a view of the log up to `position`, judge, and publish or remove the challenger.

    join: slates of the exposure log after one time whose outcome is known by another, with what came of them.
    held_after: a roll-back is in force since this log position: only later events judge, and the challenger must be
    surely better. Raises BundleMismatch where there is no bundle to start from, or it keeps no weights.
    """
    clock = _Steps()
    source = current(bundles)
    if source is None:
        raise BundleMismatch(f"{bundles} publishes no bundle to learn on from: run `python -m training fit` first")
    champion = open_bundle(source)
    warm = Warm.read(source)
    part = divide(view, champion.manifest, budget, held_after or 0)
    nothing = Updated(source.name, "", None, int(part.is_new.sum()), part.new, 0, 0)
    if part.new < budget.least_new or len(part.targets) == 0:
        late = " after the roll-back" if held_after is not None and part.new >= budget.least_new else ""
        reason = f"nothing to do: {part.new} new events to learn from and {len(part.targets)} to judge by{late}"
        return replace(nothing, reason=reason, cpu_s=clock.cpu_s, wall_s=clock.wall_s)
    cut_us = int(view.dataset.events.times[part.before[-1]])
    version = _version(champion.manifest.dataset)
    folder = bundles / FOLDER / f"{version}.part"
    told = clock.told(tell)
    ranking = served_ranking(champion.manifest.recipe)
    found = join(champion.manifest.cut_us, cut_us) if join else None

    def shown(stage: Stage, tasks: Sequence[Task]) -> list[Samples]:
        return samples_of(found, stage, tasks, ranking, budget.slates, seed) if found else []

    try:
        lesson = Lesson(view.dataset, part.before, part.is_new, cut_us, position, shown)
        challenger = write_challenger(champion, source, warm, lesson, folder, version, budget, seed, update, told)
        opened = open_bundle(folder)
        total = 2 * len(part.targets)
        was = observe(champion, view.dataset, part.targets, _share(told, total, 0))
        now = observe(opened, view.dataset, part.targets, _share(told, total, len(part.targets)))
        verdict = judge(was.ndcg, now.ndcg, part.targets.users, budget, held_after is not None, seed)
        moved = measured_drift(champion, view.dataset, np.flatnonzero(part.is_new), was)
        checked, worst = skew(champion, found) if found else (0, 0.0)
        recent = part.before[-REFERENCE_EVENTS:]
        reference = reference_of(opened, view.dataset, recent, now.user_dense, now.scores)
        challenger = with_metrics(
            challenger,
            {
                "contest": verdict.to_json(),
                "drift": [drift.to_json() for drift in moved[:5]],
                "skew": {"slates": checked, "worst": worst},
            },
            reference,
        )
        if verdict.publish and (pointed := current(bundles)) != source:
            name = pointed.name if pointed else "nothing"
            verdict = replace(verdict, publish=False, reason=f"not published: the pointer moved to {name} meanwhile")
        if verdict.publish:
            verify(folder)
            folder.rename(bundles / version)
            publish(bundles, version)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    told("judge", 1.0)
    return Updated(
        source.name, version, verdict, int(part.is_new.sum()), part.new, challenger.requests, challenger.shown, moved,
        clock.cpu_s, clock.wall_s, cpu_by_step=clock.by_step, skew=(checked, worst),
    )  # fmt: skip


def measured_drift(bundle: OpenBundle, dataset: Dataset, newest: NDArray[np.int64], observed: Observed) -> list[Drift]:
    """The bundle's reference against new events and what it gave for some of them."""
    return drifts(bundle.manifest.reference, bundle, dataset, newest, observed.user_dense, observed.scores)


def _share(tell: Tell, total: int, start: int) -> Callable[[int], None]:
    done = start

    def more(count: int) -> None:
        nonlocal done
        done += count
        tell("judge", min(done / max(total, 1), 0.999))

    return more


def _version(dataset: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", dataset).strip("-.") or "bundle"
    return f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


class _Steps:
    """CPU and wall time since the start, and CPU by step."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.monotonic()
        self._last = self._cpu
        self.by_step: dict[str, float] = {}

    @property
    def cpu_s(self) -> float:
        """All of this process, all threads."""
        return time.process_time() - self._cpu

    @property
    def wall_s(self) -> float:
        """Since the start."""
        return time.monotonic() - self._wall

    def told(self, tell: Tell) -> Tell:
        """The same, counted."""

        def counted(step: str, done: float) -> None:
            now = time.process_time()
            self.by_step[step] = round(self.by_step.get(step, 0.0) + now - self._last, 3)
            self._last = now
            tell(step, done)

        return counted
