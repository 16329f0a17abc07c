"""The ranker as it is exported: one request's inputs to scores, everything of the user's computed once.

The same numbers as RankerModel's, in another order: what standardises becomes one row a request, how a user met the
candidate itself a product with the history, and networks/folded.py does the rest for the networks it knows.
"""

from itertools import groupby

import torch
from torch import Tensor, nn

from penchant.types import Matrix
from training.ranking.model import BLEND, TYPES, Member, Outputs, RankerModel
from training.ranking.networks.cross import Pairs
from training.ranking.networks.dcn import DcnCross
from training.ranking.networks.folded import Folded, FoldedCross, FoldedTarget
from training.ranking.networks.heads import SharedHeads
from training.ranking.networks.history import NoHistory
from training.ranking.networks.mlp import MlpCross
from training.ranking.networks.target import TargetAttention
from training.ranking.statistics import BOUND, LOG_SHARES, SPREAD_FLOOR

_LARGE = 1e9
_SHARES = slice(LOG_SHARES[0], LOG_SHARES[-1] + 1)


class ServedRanker(Folded):
    """What is exported: ranker_inputs of one request to scores [B, 1 + T], `engage` first, all of them finite.

    The item vectors are those the model was trained with, by the rows of the bundle's catalogue.
    """

    def __init__(self, model: RankerModel, known_NK: Matrix, outputs: Outputs) -> None:
        super().__init__()
        self.item_width, self.history = model.item_width, model.recipe.history
        with torch.no_grad():
            self.keep("user_mean", model.user_mean[None])
            self.keep("user_scale", 1.0 / model.user_spread[None])
            self.keep("dense_mean", model.dense_mean[None])
            self.keep("dense_scale", 1.0 / model.dense_spread[None])
            self.keep("share_scale", torch.full((1, len(LOG_SHARES)), 1.0 / BOUND))
            places = torch.arange(self.history, 0, -1, dtype=torch.float32)
            self.keep("recent", places[:, None].rsqrt())
            self.keep("just_now", places[:, None] ** -2)
            share = 1.0 / len(model.ensemble)
            slope = share * torch.cat([torch.ones(1), torch.from_numpy(outputs.slope)])
            offset = share * torch.cat([torch.zeros(1), torch.from_numpy(outputs.offset)])
            if outputs.is_number.any():
                self.keep("low", torch.from_numpy(outputs.low)[None])
                self.keep("high", torch.from_numpy(outputs.high)[None])
            self.is_number = tuple(outputs.is_number.tolist())
            blend = len(model.dense_mean) + model.item_width + BLEND
            known = torch.from_numpy(known_NK)
            self.members = nn.ModuleList(ServedMember(member, known, blend, slope, offset) for member in model.ensemble)

    def forward(
        self,
        history_rows: Tensor,
        history_types: Tensor,
        history_signals: Tensor,
        user_dense: Tensor,
        rows: Tensor,
        item_dense: Tensor,
        retrieval: Tensor,
        pair_dense: Tensor,
    ) -> Tensor:
        """Scores of the B candidates: a log-odds for `engage`, probabilities and numbers for the tasks."""
        features = self._features(item_dense, retrieval, pair_dense)
        user = ((finite(user_dense) - self.kept("user_mean")) * self.kept("user_scale")).clamp(-BOUND, BOUND)
        length = min(self.history, history_rows.shape[1])
        past = history_rows[0, -length:]
        types = history_types[0, -length:].clamp(0, TYPES - 1)
        signals = finite(history_signals[0, -length:])
        known = past > 0
        own_rows = torch.where(known, past, -1)
        again = (rows[:, None] == own_rows[None]).float()
        # Of an item's events the newest counts as the last one.
        newest = ~((past[:, None] == past[None]) & torch.ones(length, length, dtype=torch.bool).triu(1)).any(dim=1)
        recent = newest.float()[:, None] * _last(self.kept("recent"), length)
        just_now = _last(self.kept("just_now"), length)
        parts = [
            member(user, features, rows, past, types, signals, known.float(), again, recent, just_now)
            for member in self.members
        ]
        logits = parts[0]
        for part in parts[1:]:
            logits = logits + part
        return self._scores(logits)

    def _scores(self, logits: Tensor) -> Tensor:
        """Each run of columns of a kind at once: bounds for numbers, a sigmoid for a yes or no."""
        found, first = [logits[:, :1]], 0
        for is_number, run in groupby(self.is_number):
            last = first + len(list(run))
            some = logits[:, 1 + first : 1 + last]
            if is_number:
                low, high = (self.kept(name)[:, first:last] for name in ("low", "high"))
                found.append(torch.minimum(torch.maximum(some, low), high))
            else:
                found.append(some.sigmoid())
            first = last
        return torch.cat(found, dim=-1)

    def _features(self, item_dense: Tensor, retrieval: Tensor, pair_dense: Tensor) -> Tensor:
        """[B, 2 F + 3] as RankerModel.prepare gives them: alone, among the candidates, and the log shares."""
        dense = finite(torch.cat([item_dense, retrieval, pair_dense], dim=-1))
        # In double: what is subtracted and divided by must not differ between runtimes, or small spreads blow it up.
        wide = dense.double()
        mean = wide.mean(dim=0, keepdim=True)
        spread = ((wide * wide).mean(dim=0, keepdim=True) - mean * mean).clamp_min(0.0).sqrt()
        first = self.item_width
        shares = slice(first + _SHARES.start, first + _SHARES.stop)
        log_sums = wide[:, shares].logsumexp(dim=0, keepdim=True)
        centre = torch.cat([self.kept("dense_mean"), mean.float(), log_sums.float()], dim=-1)
        among = 1.0 / (spread.float() + SPREAD_FLOOR)
        scale = torch.cat([self.kept("dense_scale"), among, self.kept("share_scale")], dim=-1)
        columns = torch.cat([dense, dense, dense[:, shares]], dim=-1)
        return ((columns - centre) * scale).clamp(-BOUND, BOUND)


class ServedMember(Folded):
    """One model of the ensemble; item vectors are by row, not computed any more."""

    def __init__(self, member: Member, known_NK: Tensor, blend: int, slope: Tensor, offset: Tensor) -> None:
        """blend: the column of the features that retrieval's order goes by; logits come out times slope plus offset."""
        super().__init__()
        self.keep("items", member.items(known_NK))
        self.keep("types", member.types.weight)
        self.keep("again", member.again.weight)
        self.keep("signals", member.signals.weight.T)
        self.keep("positions", member.positions + member.signals.bias)
        self.blend = blend
        history, cross, heads = member.history, member.cross, member.heads
        self.history = FoldedTarget(history) if isinstance(history, TargetAttention) else history
        if isinstance(cross, DcnCross | MlpCross) and isinstance(heads, SharedHeads):
            user = member.user_width
            weight = member.log_blend.exp()
            self.cross: nn.Module = FoldedCross(cross, heads, user, blend, weight, slope, offset)
        else:
            self.cross, self.heads = cross, heads
            self.keep("blend_weight", member.log_blend.exp())
            self.keep("slope", slope[None])
            self.keep("offset", offset[None])

    def forward(
        self,
        user: Tensor,
        features: Tensor,
        rows: Tensor,
        past: Tensor,
        types: Tensor,
        signals: Tensor,
        known: Tensor,
        again: Tensor,
        recent: Tensor,
        just_now: Tensor,
    ) -> Tensor:
        """Logits [B, 1 + T]; again [B, L] is 1 where an event was on the candidate."""
        items = self.kept("items")
        mine = nn.functional.embedding(rows, items)
        how = nn.functional.embedding(types, self.kept("again")) * just_now
        repeated = again @ torch.cat([recent, how], dim=-1)
        found, summary = self._read(mine, past, types, signals, known)
        own = torch.cat([features, mine, *found, repeated], dim=-1)
        if isinstance(self.cross, FoldedCross):
            return torch.as_tensor(self.cross(user, own))
        everything = torch.cat([user.expand(own.shape[0], -1), own], dim=-1)[None]
        logits = self.heads(self.cross(Pairs(everything, torch.cat([user, summary], dim=-1), mine[None])))[0]
        blend = features[:, self.blend : self.blend + 1] * self.kept("blend_weight")
        logits = torch.cat([logits[:, :1] + blend, logits[:, 1:]], dim=-1)
        return logits * self.kept("slope") + self.kept("offset")

    def _read(
        self, mine: Tensor, past: Tensor, types: Tensor, signals: Tensor, known: Tensor
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """What the candidates find in the history, and its summary [1, *] where a network reads one."""
        if isinstance(self.history, NoHistory):
            return (), mine.new_zeros(1, 0)
        seen = nn.functional.embedding(past, self.kept("items")) + nn.functional.embedding(types, self.kept("types"))
        seen = seen + torch.addmm(_last(self.kept("positions"), len(past)), signals, self.kept("signals"))
        if isinstance(self.history, FoldedTarget):
            summary = (seen * known[:, None]).sum(dim=0, keepdim=True) / known.sum().clamp_min(1.0)
            return self.history(seen, known, mine), summary
        encoded = self.history.encode(seen[None], known[None, None] > 0)
        return tuple(column[0] for column in self.history.read(encoded, mine[None])), self.history.summary(encoded)


def _last(rows: Tensor, count: int) -> Tensor:
    """The last `count` rows; a graph holds by its name what is not cut."""
    return rows if len(rows) == count else rows[-count:]


def finite(x: Tensor) -> Tensor:
    """NaN as 0, infinities as large numbers: a broken feature costs a candidate its place, not the slate its order."""
    return torch.where(x.isnan(), 0.0, x).clamp(-_LARGE, _LARGE)
