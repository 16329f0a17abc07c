"""A transformer cross: the history is encoded by self-attention once a request, candidates attend to the encoding.

Vaswani et al., Attention Is All You Need, NeurIPS 2017, decoder side without attention among the candidates, as in
Chen et al., Behavior Sequence Transformer, DLP-KDD 2019, but with the candidate outside of the sequence.
"""

from torch import Tensor, nn

from training.ranking.networks.history import MASKED, History, Past
from training.ranking.recipe import RankingRecipe


class Attention(nn.Module):
    """Multi-head attention of any queries to the known events."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.asks = nn.Linear(dim, dim)
        self.keys = nn.Linear(dim, dim)
        self.values = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, asking: Tensor, keys: Tensor, values: Tensor, known: Tensor) -> Tensor:
        """asking [R, Q, D]; keys, values [R, L, D] by self.keys and self.values; known [R, 1, L]; zeros without any."""
        asks, keys, values = self._split(self.asks(asking)), self._split(keys), self._split(values)
        affinity = asks @ keys.transpose(2, 3) / asks.shape[-1] ** 0.5
        weight = affinity.masked_fill(~known[:, None], MASKED).softmax(dim=-1) * known.any(dim=-1)[:, None, None]
        found: Tensor = self.out((weight @ values).transpose(1, 2).flatten(2))
        return found

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(1, 2)


class Bend(nn.Module):
    """The layer after attention, with its norm."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.layers = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim], what it was plus what the layer adds."""
        added: Tensor = self.layers(self.norm(x))
        return x + added


class TransformerHistory(History):
    """One encoder block over the events and one cross block a candidate."""

    def __init__(self, recipe: RankingRecipe) -> None:
        super().__init__()
        dim = recipe.dim
        self.width = 2 * dim
        self.user_width = dim
        self.norm_events, self.norm_past, self.norm_mine = (nn.LayerNorm(dim) for _ in range(3))
        self.among = Attention(dim, recipe.attention_heads)
        self.bend_events = Bend(dim, recipe.dropout)
        self.across = Attention(dim, recipe.attention_heads)
        self.bend_mine = Bend(dim, recipe.dropout)

    def encode(self, seen: Tensor, known: Tensor) -> Past:
        """The encoded events as the candidates' keys and values."""
        normed = self.norm_events(seen)
        mixed = seen + self.among(normed, self.among.keys(normed), self.among.values(normed), known)
        encoded = self.norm_past(self.bend_events(mixed))
        return Past(self.across.keys(encoded), self.across.values(encoded), known)

    def read(self, past: Past, mine: Tensor) -> tuple[Tensor, ...]:
        """The candidate after the cross block, and that times the candidate before."""
        found = self.across(self.norm_mine(mine), past.keys, past.values, past.known)
        met = self.bend_mine(mine + found)
        return met, mine * met
