"""Trains the ranker: a listwise softmax for `engage`, a loss a task, stopped early by the validation part."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.features import FeatureSchema
from penchant.types import Matrix
from training.checkpoint import State
from training.deterministic import deterministic
from training.ranking.losses import listwise, task_loss, taught_loss
from training.ranking.model import Batch, Member, Outputs, RankerModel, Scale
from training.ranking.recipe import RankingRecipe
from training.ranking.samples import Samples
from training.ranking.statistics import SPREAD_FLOOR
from training.ranking.tasks import ENGAGE, Task
from training.ranking.unfinished import MemberTraining, UnfinishedRanker
from training.ranking.warm import RankerWeights
from training.run import Part

Progress = Callable[[float], None]
_JUDGED_AT_ONCE = 16
_PLACES_RATE = 10
"""How much faster than the rest the effects of places learn."""


@dataclass(frozen=True, slots=True)
class TrainedRanker:
    """A ranker, the scale of its outputs, and how it was stopped."""

    model: RankerModel
    outputs: Outputs
    tasks: tuple[str, ...]
    """`engage` first."""
    epochs: tuple[int, ...]
    """Each member's best."""
    losses: tuple[float, ...]
    """Each member's listwise loss on the validation part, and last that of retrieval order."""
    curves: tuple[tuple[float, ...], ...] = ()
    """Each member's loss at every step of its training."""


def dense_of(samples: Samples, features_NF: Matrix, index: NDArray[np.int64]) -> Matrix:
    """item_dense, retrieval and pair_dense [R, C, Fi + S + Fp] of some requests."""
    return np.concatenate(
        [features_NF[samples.rows[index]], samples.retrieval[index], samples.pair_dense[index]], axis=-1
    )


def batch_of(samples: Samples, features_NF: Matrix, index: NDArray[np.int64]) -> Batch:
    """Some requests as the model takes them."""
    statistics = samples.statistics
    return Batch(
        *(
            torch.from_numpy(array)
            for array in (
                samples.history_rows[index], samples.history_types[index], samples.history_signals[index],
                samples.user_dense[index], samples.rows[index], dense_of(samples, features_NF, index),
                statistics.mean[index], statistics.spread[index], statistics.log_sums[index],
            )
        )
    )  # fmt: skip


def scale_of(samples: Samples, features_NF: Matrix) -> Scale:
    """Means and spreads over the training samples."""
    if len(samples) == 0:
        user, dense = samples.user_dense.shape[1], samples.statistics.mean.shape[1]
        zeros, ones = np.zeros, np.ones
        return Scale(zeros(user, np.float32), ones(user, np.float32), zeros(dense, np.float32), ones(dense, np.float32))
    some = np.linspace(0, len(samples) - 1, min(len(samples), 2000)).astype(np.int64)
    dense = dense_of(samples, features_NF, some)[samples.weights[some] > 0]
    user = samples.user_dense
    return Scale(
        user.mean(axis=0), user.std(axis=0) + SPREAD_FLOOR, dense.mean(axis=0), dense.std(axis=0) + SPREAD_FLOOR
    )


@deterministic()
def train_ranker(
    train: Samples,
    valid: Samples,
    features_NF: Matrix,
    known_NK: Matrix,
    schema: FeatureSchema,
    tasks: Sequence[Task],
    recipe: RankingRecipe,
    seed: int,
    progress: Progress = lambda done: None,
    warm: RankerWeights | None = None,
    part: Part | None = None,
    taught: Matrix | None = None,
) -> TrainedRanker:
    """features_NF: item features of the stage; known_NK: what is known of each item (embedding, content, numbers).

    warm: a ranker of the same recipe, schema and tasks to start from; what standardises stays as it was there. Where
    the part has a checkpoint the training goes on after the last epoch kept there, and ends in the same model.
    taught: a teacher's logits [R, C, 1 + T] of the training samples, which then count as much as the data's answers.
    """
    part = part or Part()
    is_number = [task.kind == "number" for task in tasks]
    centre, spread = _label_scale(train, is_number) if warm is None else _label_scale_of(warm.outputs)
    labels = (train.labels - centre) / spread
    scale = scale_of(train, features_NF) if warm is None else warm.scale
    model = RankerModel(recipe, schema, known_NK, scale, len(tasks), seed)
    if warm is not None:
        model.members.load_state_dict({name: torch.from_numpy(v.copy()) for name, v in warm.members.items()})
    kept = UnfinishedRanker(part.checkpoint)
    for i in range(recipe.members):
        rng = np.random.default_rng([seed, i])

        def told(done: float, member: int = i) -> None:
            progress((member + done) / recipe.members)

        if i == len(kept.done):
            trained = _train_member(
                model, i, train, labels, valid, (valid.labels - centre) / spread, features_NF, is_number, recipe, rng,
                told, kept, part.note, taught,
            )  # fmt: skip
            kept.member_ends(trained)
        model.ensemble[i].load_state_dict(kept.done[i]["net"])
    model.eval()
    outputs = _outputs(model, valid if len(valid) else train, features_NF, train, is_number, centre, spread)
    epochs, losses, curves = (tuple(m[name] for m in kept.done) for name in ("best_epoch", "best", "losses"))
    return TrainedRanker(model, outputs, (ENGAGE, *(task.name for task in tasks)), epochs, losses, curves)


def _label_scale(train: Samples, is_number: Sequence[bool]) -> tuple[Matrix, Matrix]:
    """Mean and spread of the labels of number tasks, 0 and 1 for the others: [T] each."""
    centre, spread = np.zeros(len(is_number), np.float32), np.ones(len(is_number), np.float32)
    for t, number in enumerate(is_number):
        values = train.labels[..., t][~np.isnan(train.labels[..., t])]
        if number and len(values):
            centre[t], spread[t] = values.mean(), values.std() + SPREAD_FLOOR
    return centre, spread


def _label_scale_of(outputs: Outputs) -> tuple[Matrix, Matrix]:
    """The same as a trained ranker has it."""
    return np.where(outputs.is_number, outputs.offset, 0.0), np.where(outputs.is_number, outputs.slope, 1.0)


def weights_of(trained: TrainedRanker, numbers: Mapping[str, tuple[float, float]]) -> RankerWeights:
    """What a later training starts from; numbers as ItemKnowledge has them."""
    model = trained.model
    scale = Scale(
        *(getattr(model, name).numpy() for name in ("user_mean", "user_spread", "dense_mean", "dense_spread"))
    )
    members = {name: value.numpy().copy() for name, value in model.members.state_dict().items()}
    return RankerWeights(members, scale, trained.outputs, trained.tasks, numbers)


def _train_member(
    model: RankerModel,
    member: int,
    train: Samples,
    train_labels: Matrix,
    valid: Samples,
    valid_labels: Matrix,
    features_NF: Matrix,
    is_number: Sequence[bool],
    recipe: RankingRecipe,
    rng: np.random.Generator,
    progress: Progress,
    kept: UnfinishedRanker,
    note: Callable[[float], None],
    taught: Matrix | None,
) -> State:
    """Train one member in place; its weights (net) at its best epoch (0: untrained), that epoch, and the losses."""
    net = model.ensemble[member]
    decayed = [p for p in net.parameters() if p.ndim >= 2]
    others = [p for p in net.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if net.position is not None:
        # A handful of numbers that have far to go, and no reason to stay small.
        places = list(net.position.parameters())
        groups[0]["params"] = [p for p in decayed if all(p is not place for place in places)]
        rate = _PLACES_RATE * recipe.learning_rate
        groups.append({"params": places, "weight_decay": 0.0, "lr": rate})
    optimiser = torch.optim.AdamW(groups, recipe.learning_rate)
    steps = max(recipe.epochs * -(-len(train) // recipe.batch_requests), 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, step / 100 + 0.01) * (1 - step / steps)
    )
    judged = np.linspace(0, len(valid) - 1, min(len(valid), recipe.stop_requests)).astype(np.int64)
    best = validation_loss(model, valid, valid_labels, judged, features_NF, is_number, member)
    training = MemberTraining(net, optimiser, schedule, rng, best, 0, copy.deepcopy(net.state_dict()), [])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        for epoch in range(training.take_up(kept.going) + 1, recipe.epochs + 1):
            net.train()
            order = rng.permutation(len(train))
            for start in range(0, len(order), recipe.batch_requests):
                index = order[start : start + recipe.batch_requests]
                logits = model(batch_of(train, features_NF, index), member)
                loss = _loss(net, logits, train, train_labels, index, is_number)
                if taught is not None:
                    loss = 0.5 * (loss + _taught(logits, taught, train, train_labels, index, is_number))
                if not loss.requires_grad:
                    continue  # nothing of the batch was chosen or is labelled
                optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                training.losses.append(float(loss.detach()))
            if training.losses:
                note(training.losses[-1])
            progress(epoch / recipe.epochs)
            found = validation_loss(model, valid, valid_labels, judged, features_NF, is_number, member)
            training.epoch_ends(epoch, found)
            kept.epoch_ends(training, epoch)
    return training.result()


def _loss(
    net: Member, logits: Tensor, samples: Samples, labels: Matrix, index: NDArray[np.int64], is_number: Sequence[bool]
) -> Tensor:
    """The labels are of what was shown, so they are held against the logits as observed there."""
    weights = torch.from_numpy(samples.weights[index])
    chosen = torch.from_numpy(samples.chosen[index])
    found = chosen >= 0
    tasks = logits[..., 1:]
    if net.position is not None:
        observed = net.position(tasks, torch.from_numpy(samples.positions[index].astype(np.int64)))
        tasks = torch.where(torch.tensor(is_number), tasks, observed)
    loss = task_loss(tasks, torch.from_numpy(labels[index]), weights, is_number)
    if bool(found.any()):
        loss = loss + listwise(logits[found][..., 0], weights[found], chosen[found])
    return loss


def _taught(
    logits: Tensor,
    taught: Matrix,
    samples: Samples,
    labels: Matrix,
    index: NDArray[np.int64],
    is_number: Sequence[bool],
) -> Tensor:
    answers, known, weights = (torch.from_numpy(array[index]) for array in (taught, labels, samples.weights))
    return taught_loss(logits, answers, known, weights, is_number)


@torch.no_grad()
def logits_of(
    model: RankerModel,
    samples: Samples,
    features_NF: Matrix,
    member: int | None = None,
    index: NDArray[np.int64] | None = None,
) -> Matrix:
    """Logits [R, C, 1 + T] of all requests, or of those of the index."""
    model.eval()
    chosen = np.arange(len(samples)) if index is None else index
    if len(chosen) == 0:
        return np.zeros((0, samples.rows.shape[1], 1 + samples.labels.shape[2]), np.float32)
    parts = [
        model(batch_of(samples, features_NF, chosen[start : start + _JUDGED_AT_ONCE]), member).numpy()
        for start in range(0, len(chosen), _JUDGED_AT_ONCE)
    ]
    return np.concatenate(parts)


@torch.no_grad()
def validation_loss(
    model: RankerModel,
    samples: Samples,
    labels: Matrix,
    index: NDArray[np.int64],
    features_NF: Matrix,
    is_number: Sequence[bool],
    member: int,
) -> float:
    """Listwise loss plus the tasks' over whole candidate lists; infinite without any, so that the last epoch stays."""
    if len(index) == 0:
        return float("inf")
    logits = torch.from_numpy(logits_of(model, samples, features_NF, member, index))
    return float(_loss(model.ensemble[member], logits, samples, labels, index, is_number))


def _outputs(
    model: RankerModel,
    valid: Samples,
    features_NF: Matrix,
    train: Samples,
    is_number: Sequence[bool],
    centre: Matrix,
    spread: Matrix,
) -> Outputs:
    """Numbers back on their scale and within the labels' bounds; probabilities calibrated on the validation part."""
    count = len(is_number)
    outputs = Outputs(
        np.ones(count, np.float32), np.zeros(count, np.float32), np.zeros(count, np.float32),
        np.ones(count, np.float32), np.array(is_number, np.bool_),
    )  # fmt: skip
    logits = logits_of(model, valid, features_NF)
    for t, number in enumerate(is_number):
        if number:
            values = train.labels[..., t][~np.isnan(train.labels[..., t])]
            outputs.slope[t], outputs.offset[t] = spread[t], centre[t]
            outputs.low[t], outputs.high[t] = (values.min(), values.max()) if len(values) else (0.0, 0.0)
            continue
        known = ~np.isnan(valid.labels[..., t])
        outputs.slope[t], outputs.offset[t] = platt(
            logits[..., 1 + t][known], valid.labels[..., t][known], np.maximum(valid.weights[known], 1.0)
        )
    return outputs


def platt(
    logits: NDArray[np.float32], labels: NDArray[np.float32], weights: NDArray[np.float32]
) -> tuple[float, float]:
    """Slope and offset that make sigmoid(slope * logit + offset) calibrated; 1 and 0 where labels are too few.

    Platt 1999, by Newton's method; drawn a little to 1 and 0, so that a handful of labels changes little.
    """
    if min(float((labels > 0.5).sum()), float((labels < 0.5).sum())) < 10:
        return 1.0, 0.0
    x = np.stack([logits, np.ones_like(logits)], axis=1).astype(np.float64)
    theta, prior = np.array([1.0, 0.0]), np.array([1.0, 0.0])
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ theta, -30, 30)))
        gradient = x.T @ (weights * (p - labels)) + (theta - prior)
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x + np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        theta = theta - step
        if np.abs(step).max() < 1e-6:
            break
    return float(max(theta[0], 0.05)), float(theta[1])
