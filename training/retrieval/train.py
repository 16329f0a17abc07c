"""The steps of training towers: on one process or several, on the CPU or a GPU, from the start or a checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.types import Vector
from training.checkpoint import State
from training.products import products
from training.retrieval.device import on_device
from training.retrieval.losses import LOSSES, log_chance
from training.retrieval.recipe import RetrievalRecipe
from training.retrieval.sequences import Sequences, padded
from training.retrieval.sharded import Batch, add_up, own_part, whole_batch_dropout
from training.retrieval.tower import Towers
from training.run import Part

Progress = Callable[[float], None]
"""Told the share of the training that is done, from 0 to 1."""
Plan = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]
"""Batches of windows: the starts and ends of each into the histories' rows."""
_NOTE_EVERY = 10
"""Steps from one told loss to the next: asking a GPU for one waits for it."""


def train_on(
    towers: Towers,
    histories: Sequences,
    plan: Plan,
    recipe: RetrievalRecipe,
    seed: int,
    progress: Progress,
    rate: float = 1.0,
    part: Part | None = None,
) -> Vector:
    """Train the towers in place, a step a batch; the loss of every step.

    rate is the share of the recipe's learning rate. Where the part has a checkpoint the training goes on from it, and
    ends as it would have without the interruption, bit for bit.
    """
    part = part or Part()
    workers, device, batch = part.workers, part.workers.device, Batch()
    with products(recipe.products), on_device(towers, device), whole_batch_dropout(towers, batch, workers):
        torch.manual_seed(seed + 1)
        training = _Training.begun(towers, recipe, rate, len(plan), device)
        begin = training.taken_up(part)
        chances = log_chance(histories, len(towers.ids_ND)).to(device)
        loss_of = LOSSES[recipe.loss]
        towers.train()
        for step in range(begin, len(plan)):
            starts, ends = plan[step]
            window, weight = own_part(padded(histories, starts, ends, int((ends - starts).max())), batch, workers)
            loss = loss_of(towers, torch.from_numpy(window).to(device), chances) * weight
            training.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            training.losses[step] = add_up(towers, loss.detach(), workers)
            nn.utils.clip_grad_norm_(towers.parameters(), 1.0)
            training.optimiser.step()
            training.schedule.step()
            if step % _NOTE_EVERY == 0 or step + 1 == len(plan):
                part.note(float(training.losses[step]))
            progress((step + 1) / len(plan))
            if part.checkpoint.due():
                part.checkpoint.save(training.state(step + 1))
        if begin < len(plan):
            part.checkpoint.save(training.result())
        losses: Vector = training.losses.cpu().numpy()
    return losses


@dataclass(frozen=True, slots=True)
class _Training:
    """Everything that a step changes, and the random numbers of torch."""

    towers: Towers
    optimiser: torch.optim.AdamW
    schedule: torch.optim.lr_scheduler.LambdaLR
    losses: Tensor

    @classmethod
    def begun(
        cls, towers: Towers, recipe: RetrievalRecipe, rate: float, steps: int, device: torch.device
    ) -> "_Training":
        """Before the first step."""
        optimiser = torch.optim.AdamW(
            towers.parameters(), rate * recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: _rate(step / max(steps, 1), recipe.decay_from)
        )
        return cls(towers, optimiser, schedule, torch.zeros(steps, device=device))

    def taken_up(self, part: Part) -> int:
        """Go on where the checkpoint of the first process ends; every process starts as that one. Steps done."""
        state = part.checkpoint.load()
        if part.workers.count > 1:
            state = part.workers.as_first(state or self.state(0))
        if state is None:
            return 0
        self.towers.load_state_dict(state["towers"])
        self.losses.copy_(state["losses"])
        if state["step"] == len(self.losses):
            return len(self.losses)
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        if self.losses.device.type == "cuda":
            torch.cuda.set_rng_state(state["random_gpu"], self.losses.device)
        return int(state["step"])

    def state(self, step: int) -> State:
        """After so many steps."""
        state = {
            "step": step,
            "towers": self.towers.state_dict(),
            "losses": self.losses,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self.losses.device.type == "cuda":
            state["random_gpu"] = torch.cuda.get_rng_state(self.losses.device)
        return state

    def result(self) -> State:
        """After the last step: nothing that only another step would need."""
        return {"step": len(self.losses), "towers": self.towers.state_dict(), "losses": self.losses}


def _rate(done: float, decay_from: float) -> float:
    """Share of the learning rate: a short rise, level, then linearly to 0."""
    return min(1.0, (done + 1e-3) / 0.02, (1.0 - done) / (1.0 - decay_from))
