"""The learner: follows the log from its checkpoint and updates when enough is new. kill -9 at any moment resumes.

What is on disk is always whole: the journal up to a position, the checkpoint that names it, bundles and the pointer.
Whatever a crash interrupted is done again from the checkpoint: records read twice are taken in once, by position, and
an update that was published but not noted is not repeated, because its bundle says which position it learned.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from penchant.bundle import current
from penchant.errors import ConfigError
from training.data.read import read_dataset
from training.fit import fit
from training.learning.budget import UpdateBudget
from training.learning.exposures import ExposureJournal, Join, join
from training.learning.files import (
    FOLDER,
    Checkpoint,
    read_checkpoint,
    read_hold,
    release_hold,
    write_checkpoint,
)
from training.learning.journal import Journal
from training.learning.reading import LogFollower
from training.learning.rollback import list_bundles
from training.learning.update import Updated, run_update
from training.progress import Tell
from training.recipes import resolve

Say = Callable[[str], None]


@dataclass(slots=True)
class Learner:
    """Call start(), then step() as often as there may be something new."""

    log: str
    exposures: Path | None
    bundles: Path
    data: Path | None = None
    recipe: str = "default"
    seed: int = 0
    keep_bundles: int = 10
    keep_events: int = 4_000_000
    keep_exposures_s: float | None = None
    """Logs of front doors that have shown nothing for so long are removed once they are read; None: never."""
    budget: UpdateBudget = field(default_factory=UpdateBudget)
    tell: Tell = lambda step, done: None
    say: Say = lambda line: None
    checkpoint: Checkpoint = field(init=False, default_factory=Checkpoint)
    journal: Journal = field(init=False)
    shown: ExposureJournal = field(init=False)
    follower: LogFollower = field(init=False)

    def start(self) -> None:
        """Go on from the checkpoint, or begin; without any bundle, fit one on what there is."""
        self.follower = LogFollower(self.log)
        found = read_checkpoint(self.bundles)
        if found is None:
            base = read_dataset(self.data) if self.data else None
            self.journal = Journal(base, keep_events=self.keep_events)
            self.checkpoint = Checkpoint(seed=self.seed)
            known = f"{len(self.journal):,} events of {self.data}" if base else "an empty journal"
            self.say(f"begins at log position 0 with {known}")
        else:
            self.checkpoint = found
            self.journal = Journal.load(self._journal_folder(found), self.keep_events)
            self.say(
                f"goes on at log position {found.position:,} with {len(self.journal):,} events after "
                f"{found.updates} updates"
            )
        self.shown = ExposureJournal(self.exposures, self.checkpoint.exposures)
        self._clean()
        self.read()
        if current(self.bundles) is None:
            self._first_fit()

    def close(self) -> None:
        """Give the logs back."""
        self.follower.close()

    @property
    def new_events(self) -> int:
        """Acts taken in since the last update."""
        return self.journal.count_after(self.checkpoint.judged_position)

    def read(self) -> None:
        """Take in what the logs have."""
        self.follower.read(self.journal)
        self.shown.read()

    def update(self) -> Updated:
        """One update on all that was read, and the checkpoint after it."""
        hold, mark = read_hold(self.bundles), self.checkpoint
        if hold is not None and hold.at != mark.hold_at:
            mark = replace(mark, hold_at=hold.at, hold_position=self.journal.position)
            self._save(mark)
        view = self.journal.view()

        def joined(after_us: int, until_us: int) -> Join:
            self.shown.forget(after_us)
            return join(self.journal, view, self.shown.held, after_us, until_us)

        done = run_update(
            view, self.bundles, self.budget, _seed(mark), mark.updates + 1, self.journal.position,
            mark.hold_position if hold else None, joined, self.tell,
        )  # fmt: skip
        if done.published and hold is not None:
            release_hold(self.bundles)
        published = (*mark.published, done.bundle) if done.published else mark.published
        self._save(
            replace(
                mark, bundle=done.champion, updates=mark.updates + (done.verdict is not None), judged_at_s=time.time(),
                judged_position=self.journal.position, published=published[-1000:],
            )
        )  # fmt: skip
        self._clean()
        if self.keep_exposures_s is not None:
            for name in self.shown.remove_old(time.time() - self.keep_exposures_s):
                self.say(f"removed the exposure log of {name}, which is read and old")
        return done

    def _save(self, mark: Checkpoint) -> None:
        """Journal first, checkpoint second: the checkpoint never names a journal that is not whole."""
        mark = replace(
            mark, position=self.journal.position, item_position=self.journal.item_position,
            exposures=self.shown.positions,
        )  # fmt: skip
        folder = self._journal_folder(mark)
        if not folder.exists():
            self.journal.save(folder)
        write_checkpoint(self.bundles, mark)
        self.checkpoint = mark
        self.follower.hold(mark.position, mark.item_position)

    def _journal_folder(self, mark: Checkpoint) -> Path:
        return self.bundles / FOLDER / f"journal-{mark.position}-{mark.item_position}"

    def _first_fit(self) -> None:
        dataset = self.journal.view().dataset
        if len(dataset.events) == 0:
            raise ConfigError(
                f"{self.bundles} publishes no bundle and {self.log} holds no events to fit one on: wait for events, "
                "or give a data set with --data"
            )
        self.say(f"no bundle is published: fitting one on {len(dataset.events):,} events")
        fitted = fit(dataset, resolve(self.recipe, dataset), self.bundles, self.seed, "none", self.tell)
        self.say(f"published {fitted.folder.name}, the first")

    def _clean(self) -> None:
        """Remove what crashes left, journals that are not the checkpoint's, and old bundles of its own."""
        folder = self.bundles / FOLDER
        mine = self._journal_folder(self.checkpoint)
        for path in [*folder.glob("*journal-*"), *folder.glob("*.part")]:
            if path.is_dir() and path != mine:
                shutil.rmtree(path, ignore_errors=True)
        learned = [bundle for bundle in list_bundles(self.bundles) if bundle.manifest and bundle.manifest.lineage]
        for bundle in learned[: -self.keep_bundles]:
            if not bundle.published:
                shutil.rmtree(self.bundles / bundle.version, ignore_errors=True)


def _seed(mark: Checkpoint) -> int:
    """Another one each update, the same one when an update is done again."""
    return mark.seed + 7919 * (mark.updates + 1)
