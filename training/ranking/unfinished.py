"""The ranker's training as a checkpoint holds it: members that are done, and the one at hand after an epoch."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.checkpoint import Checkpoint, State
from training.ranking.samples import Samples
from training.ranking.statistics import RequestStatistics


@dataclass(slots=True)
class MemberTraining:
    """What an epoch of one member changes, but for the random numbers of torch."""

    net: torch.nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: np.random.Generator
    best: float
    best_epoch: int
    best_state: dict[str, Any]
    losses: list[float]

    def state(self, epoch: int) -> State:
        """After so many epochs."""
        return {
            "epoch": epoch,
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "rng": json.dumps(self.rng.bit_generator.state),
            "random": torch.get_rng_state(),
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_state": self.best_state,
            "losses": self.losses,
        }

    def epoch_ends(self, epoch: int, loss: float) -> None:
        """Remember the weights if the validation part likes them as much as any."""
        if loss <= self.best:
            self.best, self.best_epoch = loss, epoch
            self.best_state = copy.deepcopy(self.net.state_dict())

    def result(self) -> State:
        """What is left of it at the end."""
        return {"net": self.best_state, "best": self.best, "best_epoch": self.best_epoch, "losses": self.losses}

    def take_up(self, state: State | None) -> int:
        """Go on from a state; the epochs done there, 0 without one."""
        if state is None:
            return 0
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.rng.bit_generator.state = json.loads(state["rng"])
        torch.set_rng_state(state["random"])
        self.best, self.best_epoch, self.best_state = state["best"], state["best_epoch"], state["best_state"]
        self.losses[:] = state["losses"]
        return int(state["epoch"])


class UnfinishedRanker:
    """The ranker so far: results of the members that are done, and the state of the one that was at hand."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        state = checkpoint.load() or {"done": [], "going": None}
        self.done: list[State] = state["done"]
        self.going: State | None = state["going"]

    def epoch_ends(self, training: MemberTraining, epoch: int) -> None:
        """Keep the member at hand, if that is due."""
        if self._checkpoint.due():
            self._checkpoint.save({"done": self.done, "going": training.state(epoch)})

    def member_ends(self, result: State) -> None:
        """Keep a member that is done."""
        self.done.append(result)
        self.going = None
        self._checkpoint.save({"done": self.done, "going": None})


def kept_samples(checkpoint: Checkpoint, collect: Callable[[], Samples]) -> Samples:
    """Samples as an earlier process collected them, else collected now and kept."""
    state = checkpoint.load()
    if state is not None:
        arrays: dict[str, NDArray[Any]] = {name: tensor.numpy() for name, tensor in state.items()}
        statistics = RequestStatistics(*(arrays.pop(field.name) for field in fields(RequestStatistics)))
        return Samples(**arrays, statistics=statistics)
    samples = collect()
    arrays = {field.name: getattr(samples, field.name) for field in fields(Samples) if field.name != "statistics"}
    arrays |= {field.name: getattr(samples.statistics, field.name) for field in fields(RequestStatistics)}
    checkpoint.save({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()})
    return samples
