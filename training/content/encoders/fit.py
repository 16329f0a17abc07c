"""Trains a network to say, from one medium, where training put the items people met.

Each of a few networks is trained on all items but its fold. What is known of a fold is what the network without it
says: of items that it was trained on a network knows too much, and the item tower would trust it too much. What is
served is the mean of the networks.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.types import Matrix
from training.content.encoders import ENCODERS, MediaEncoder
from training.content.encoders.words import WordsEncoder
from training.deterministic import deterministic

FOLDS = 3
_MOST_EPOCHS, _LEAST_EPOCHS = 40, 2
_BATCH = 64
_RATE = 3e-3
_WEIGHT_DECAY = 0.02
_CHUNK = 1024
Progress = Callable[[float], None]


class Averaged(nn.Module):
    """The mean of networks that were trained alike, times `scale`: vectors of about unit length."""

    def __init__(self, networks: list[MediaEncoder], scale: float) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.scale = scale

    def forward(self, raw: Tensor) -> Tensor:
        """[B, D] of raw [B, ...]."""
        return self.scale * torch.stack([network(raw) for network in self.networks]).mean(dim=0)


def fit_network(
    name: str,
    raw: NDArray[Any],
    targets: Matrix,
    weights: NDArray[np.floating],
    shown: int,
    progress: Progress = lambda done: None,
    seed: int = 0,
) -> tuple[Averaged, Matrix]:
    """Of n items, two or more, raw [n, ...] as penchant.media makes it; the network, and [n, D] what it says of each
    item as if that had not been there. shown: items that each network is shown in all.

    Targets [n, D] are learned without their mean, so that a network says the less the less it can tell: zeros are what
    the item tower reads of an item without the medium. Weights [n] are those of the squared errors.
    """
    mean = np.average(targets, axis=0, weights=weights)
    scale = max(float(np.average(np.linalg.norm(targets - mean, axis=1), weights=weights)), 1e-9)
    wanted = torch.from_numpy(((targets - mean) / scale).astype(np.float32))
    trusted = torch.from_numpy((weights / weights.mean()).astype(np.float32))
    seen = torch.from_numpy(np.ascontiguousarray(raw))
    folds = min(FOLDS, len(raw))
    fold = np.random.default_rng(seed).permutation(len(raw)) % folds
    networks, held_out = [], np.zeros(targets.shape, np.float32)
    with torch.random.fork_rng(devices=[]), deterministic():
        for i in range(folds):
            torch.manual_seed(seed * FOLDS + i)
            network = ENCODERS[name](targets.shape[1])
            some = torch.from_numpy(np.flatnonzero(fold != i))
            _train(network, seen[some], wanted[some], trusted[some], shown, _part(progress, i, folds))
            held_out[fold == i] = predicted(network, raw[fold == i])
            networks.append(network)
    scale = float(1.0 / max(np.linalg.norm(held_out, axis=1).mean(), 1e-3))
    return Averaged(networks, scale).eval(), scale * held_out


def predicted(network: nn.Module, raw: NDArray[Any]) -> Matrix:
    """[n, D] of n items, one or more, a chunk at a time."""
    network.eval()
    chunks = [np.ascontiguousarray(raw[start : start + _CHUNK]) for start in range(0, len(raw), _CHUNK)]
    with torch.no_grad():
        return np.concatenate([network(torch.from_numpy(chunk)).numpy() for chunk in chunks])


def _part(progress: Progress, fold: int, folds: int) -> Progress:
    return lambda done: progress((fold + done) / folds)


def _train(network: MediaEncoder, raw: Tensor, wanted: Tensor, weights: Tensor, shown: int, progress: Progress) -> None:
    """Weighted squared error under AdamW, the rate rising and falling once (Smith and Topin 2019)."""
    if isinstance(network, WordsEncoder):
        network.forget_unseen(raw)
    epochs = int(np.clip(round(shown / len(raw)), _LEAST_EPOCHS, _MOST_EPOCHS))
    batches = -(-len(raw) // _BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=epochs * batches)
    network.train()
    for epoch in range(epochs):
        for some in torch.randperm(len(raw)).tensor_split(batches):
            # Statistics of a batch take two.
            some = some if len(some) > 1 else torch.cat([some, some])
            off = ((network(network.varied(raw[some])) - wanted[some]) ** 2).sum(dim=1)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward((off * weights[some]).mean())
            optimiser.step()
            schedule.step()
        progress((epoch + 1) / epochs)
