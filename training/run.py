"""How a training is carried out: nothing here changes what comes out of it, but for last bits."""

from collections.abc import Callable
from dataclasses import dataclass, field

from training.checkpoint import Checkpoint, Checkpoints
from training.workers import Workers

Note = Callable[[str, float], None]
"""Told a step's name and its loss now."""


@dataclass(frozen=True, slots=True)
class Part:
    """Of one training: the workers, where its state is kept, and who is told its loss."""

    workers: Workers = field(default_factory=Workers)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    note: Callable[[float], None] = lambda loss: None


@dataclass(frozen=True, slots=True)
class Run:
    """Of a whole fit."""

    workers: Workers = field(default_factory=Workers)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    note: Note = lambda step, loss: None

    def part(self, name: str) -> Part:
        """The training of that name."""
        return Part(self.workers, self.checkpoints.part(name), lambda loss: self.note(name, loss))
