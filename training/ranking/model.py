"""The ranker: candidates read the user's history, what is known of both meets, and a head a task.

Which network does each is the recipe's choice (training/ranking/networks); what standardises, the blend's residual and
what is exported are the same for all.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.events import EVENT_TYPES
from penchant.features import FeatureSchema
from penchant.ranking import HISTORY_SIGNALS
from penchant.retrieval.features import RETRIEVAL_FEATURES
from penchant.types import Matrix
from training.ranking.networks import cross_of, heads_of, history_of
from training.ranking.networks.cross import Pairs
from training.ranking.networks.position import PositionBias
from training.ranking.recipe import RankingRecipe
from training.ranking.statistics import BOUND, LOG_SHARES, SPREAD_FLOOR

BLEND = RETRIEVAL_FEATURES.index("blend")
TYPES = max(t.code for t in EVENT_TYPES.values()) + 1
_AGAIN = 4
"""Numbers that say how the user acted on the candidate itself."""


@dataclass(frozen=True, slots=True)
class Batch:
    """R requests of C candidates; the names are those of penchant.ranking.ranker_inputs, with R in front."""

    history_rows: Tensor
    history_types: Tensor
    history_signals: Tensor
    user_dense: Tensor
    rows: Tensor
    dense: Tensor
    """[R, C, Fi + S + Fp]: item_dense, retrieval and pair_dense side by side."""
    mean: Tensor
    spread: Tensor
    """[R, Fi + S + Fp], of all candidates of the request."""
    log_sums: Tensor
    """[R, 3] of the LOG_SHARES columns of retrieval."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Means and spreads over the training samples: user [Fu], dense [Fi + S + Fp]."""

    user_mean: Matrix
    user_spread: Matrix
    dense_mean: Matrix
    dense_spread: Matrix


@dataclass(frozen=True, slots=True)
class Outputs:
    """How a task's logit becomes its score, [T] each: slope and offset first, then the bounds or a sigmoid."""

    slope: NDArray[np.float32]
    offset: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    is_number: NDArray[np.bool_]


def task_scores(outputs: Outputs, logits: Matrix) -> Matrix:
    """Scores [..., 1 + T] of logits, as what is served gives them."""
    tasks = logits[..., 1:] * outputs.slope + outputs.offset
    probability = 1.0 / (1.0 + np.exp(-np.clip(tasks, -60, 60)))
    tasks = np.where(outputs.is_number, np.clip(tasks, outputs.low, outputs.high), probability)
    return np.concatenate([logits[..., :1], tasks], axis=-1).astype(np.float32)


class Member(nn.Module):
    """One model of the ensemble."""

    def __init__(self, recipe: RankingRecipe, schema: FeatureSchema, known_width: int, tasks: int) -> None:
        super().__init__()
        self.recipe = recipe
        dim = recipe.dim
        self.items = nn.Linear(known_width, dim)
        self.types = nn.Embedding(TYPES, dim)
        self.signals = nn.Linear(len(HISTORY_SIGNALS), dim)
        self.positions = nn.Parameter(torch.zeros(recipe.history, dim))
        self.history = history_of(recipe)
        # After the history's own draws: a seed then gives what it has always given.
        nn.init.normal_(self.types.weight, std=0.02)
        user, dense = len(schema.user_dense_names), len(schema.item_dense_names) + len(RETRIEVAL_FEATURES)
        dense += len(schema.pair_dense_names)
        self.again = nn.Embedding(TYPES, _AGAIN)
        self.user_width = user
        width = user + 2 * dense + len(LOG_SHARES) + dim + self.history.width + 1 + _AGAIN
        self.drop = nn.Dropout(recipe.dropout)
        self.cross = cross_of(recipe, width, user + self.history.user_width)
        self.heads = heads_of(recipe, self.cross.width, 1 + tasks)
        # At first the order is retrieval's: the heads say nothing, the blend alone counts.
        self.log_blend = nn.Parameter(torch.tensor(0.5))
        self.position = PositionBias(recipe.position_correction, tasks) if corrects(recipe) else None

    def forward(self, items_ND: Tensor, batch: Batch, features: Tensor, user: Tensor, blend: Tensor) -> Tensor:
        """Logits [R, C, 1 + T]; items_ND is self.items of what is known of the items."""
        length = self.recipe.history
        rows = batch.history_rows[:, -length:]
        seen = nn.functional.embedding(rows, items_ND)
        seen = seen + self.types(batch.history_types[:, -length:]) + self.signals(batch.history_signals[:, -length:])
        seen = seen + self.positions[-rows.shape[1] :]
        mine = nn.functional.embedding(batch.rows, items_ND)
        known = (rows > 0)[:, None, :]
        past = self.history.encode(seen, known)
        found = self.history.read(past, mine)
        # How lately the user acted on the candidate itself, 1 for the newest item, 0 for never; and how, just now:
        # who has clicked is about to buy, who has bought is not.
        steps = torch.arange(rows.shape[1], 0, -1, dtype=torch.float32)
        repeats = ((batch.rows[:, :, None] == rows[:, None, :]) & known).float()
        repeated = (repeats / steps.sqrt()).amax(dim=-1, keepdim=True)
        again = (repeats / steps**2) @ self.again(batch.history_types[:, -length:])
        count = batch.rows.shape[1]
        x0 = torch.cat(
            [
                user[:, None, :].expand(-1, count, -1),
                features,
                self.drop(mine),
                *found,
                repeated,
                again,
            ],
            dim=-1,
        )
        pairs = Pairs(x0, torch.cat([user, self.history.summary(past)], dim=-1), mine)
        out = self.heads(self.cross(pairs))
        engage = out[..., :1] + self.log_blend.exp() * blend[..., None]
        return torch.cat([engage, out[..., 1:]], dim=-1)


def corrects(recipe: RankingRecipe) -> bool:
    """Whether places on slates are learned beside the ranker."""
    return recipe.position_correction != "none"


class RankerModel(nn.Module):
    """The ensemble, with everything that standardises its inputs inside."""

    known: Tensor
    user_mean: Tensor
    user_spread: Tensor
    dense_mean: Tensor
    dense_spread: Tensor

    def __init__(
        self, recipe: RankingRecipe, schema: FeatureSchema, known_NK: Matrix, scale: Scale, tasks: int, seed: int
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.item_width = len(schema.item_dense_names)
        self.register_buffer("known", torch.from_numpy(known_NK))
        for name in ("user_mean", "user_spread", "dense_mean", "dense_spread"):
            self.register_buffer(name, torch.from_numpy(getattr(scale, name)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.members = nn.ModuleList(
                Member(recipe, schema, known_NK.shape[1], tasks) for _ in range(recipe.members)
            )

    @property
    def ensemble(self) -> list[Member]:
        """The members."""
        return [member for member in self.members if isinstance(member, Member)]

    def prepare(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised features [R, C, 2 F + 3] of the candidates, the user's [R, Fu], and the blend [R, C]."""
        alone = ((batch.dense - self.dense_mean) / self.dense_spread).clamp(-BOUND, BOUND)
        among = (batch.dense - batch.mean[:, None]) / (batch.spread[:, None] + SPREAD_FLOOR)
        among = among.clamp(-BOUND, BOUND)
        first = self.item_width
        shares = torch.stack([batch.dense[..., first + c] for c in LOG_SHARES], dim=-1) - batch.log_sums[:, None]
        features = torch.cat([alone, among, (shares / BOUND).clamp(-BOUND, BOUND)], dim=-1)
        user = ((batch.user_dense - self.user_mean) / self.user_spread).clamp(-BOUND, BOUND)
        return features, user, among[..., first + BLEND]

    def forward(self, batch: Batch, member: int | None = None) -> Tensor:
        """Logits [R, C, 1 + T], the mean of the members or those of one."""
        features, user, blend = self.prepare(batch)
        chosen = self.ensemble if member is None else [self.ensemble[member]]
        return torch.stack([m(m.items(self.known), batch, features, user, blend) for m in chosen]).mean(dim=0)
