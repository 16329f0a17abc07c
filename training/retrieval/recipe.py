"""The recipe of retrieval: every number its training takes, sized by the data and never by the clock."""

from dataclasses import asdict, dataclass
from typing import Any

LAPTOP_TFLOP = 100.0
"""Takes about 17 CPU-minutes of an AMD EPYC of 2025, and a second stage warm_share of it again."""


@dataclass(frozen=True, slots=True)
class RetrievalRecipe:
    """What fit_retrieval needs to know. Work is counted in floating-point operations, so equal data trains equally."""

    encoder: str = "sasrec"
    """One of training.retrieval.encoders.ENCODERS."""
    dim: int = 64
    blocks: int = 2
    """Layers of the encoder, as it counts them."""
    heads: int = 2
    dropout: float = 0.3
    id_dropout: float = 0.1
    """Share of the items with content that a step knows by it alone, so that the content tower stands alone."""
    history_length: int = 100
    loss: str = "softmax"
    """One of training.retrieval.losses.LOSSES."""
    gbce_calibration: float = 0.75
    """Of the loss gbce: how much of the overconfidence that few negatives make is taken back."""
    products: str = "highest"
    """torch's precision of float32 matrix products: medium takes a faster way where there is one, maybe bfloat16."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    decay_from: float = 0.4
    """Share of the steps after which the learning rate falls linearly to 0."""
    window_share: float = 0.5
    """Share of the windows that end anywhere in a user's history; the others end at its end."""
    batch_windows: int = 32
    batch_positions: int = 4096
    """A batch holds at least batch_windows windows, and more while they fit into this many positions."""
    budget_tflop: float = 1.0
    """Work of training from scratch, in 1e12 operations of matrix products, forward and backward."""
    warm_share: float = 0.35
    """Share of the budget where training starts from an older model of the same data."""
    min_epochs: int = 2
    max_epochs: int = 60
    full_softmax_to: int = 4000
    """Items up to which the loss softmax runs over the whole catalogue; beyond, it is sampled_softmax."""
    negatives: int = 1024
    """Rows drawn for a batch, where the loss does not take the whole catalogue."""
    followers: int = 1000
    """Co-visitation keeps this many followers of an item, the strongest."""
    neighbours: int = 30
    media_encoders: str = "picture_cnn,sound_cnn"
    """Of training.content.encoders.ENCODERS, with commas: trained where the items have such media."""
    media_shown: int = 40_000
    """Items that each of an encoder's networks is shown in all, each many times where there are few."""
    popular: int = 200
    fresh: int = 100

    def scored(self, items: int) -> int:
        """Of so many items, those that the loss scores at each place."""
        whole = self.loss == "softmax" and items <= self.full_softmax_to
        return items if whole else self.negatives

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, for the manifest."""
        return asdict(self)


def default_retrieval(events: int, users: int, items: int) -> RetrievalRecipe:
    """The default for a data set of that many history events, users and items."""
    length = _history_length(events, users)
    if events < 300_000:
        return RetrievalRecipe(dim=32, history_length=length, learning_rate=2e-3, budget_tflop=1.0)
    return RetrievalRecipe(dim=64, history_length=length, budget_tflop=12.0)


def laptop_retrieval(events: int, users: int, items: int) -> RetrievalRecipe:
    """What 30 CPU-minutes are best spent on for a million events; for fewer, in proportion, and for more no more."""
    work = LAPTOP_TFLOP * min(events, 1_000_000) / 1_000_000
    length = _history_length(events, users)
    return RetrievalRecipe(
        dim=128, history_length=length, dropout=0.2, products="medium", learning_rate=2e-3, batch_windows=16,
        batch_positions=2048, budget_tflop=work, max_epochs=200,
    )  # fmt: skip


def _history_length(events: int, users: int) -> int:
    mean = events / max(users, 1)
    return 200 if mean >= 120 else 100 if mean >= 30 else 50
