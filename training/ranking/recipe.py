"""The recipe of ranking: every number its training takes, sized by the data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from penchant.errors import ConfigError

Attention = Literal["target", "din", "transformer", "none"]
Cross = Literal["dcn", "mlp", "neumf"]
Heads = Literal["shared", "mmoe"]
PositionCorrection = Literal["none", "additive", "examined"]
_CHOICES = {"attention": Attention, "cross": Cross, "heads": Heads, "position_correction": PositionCorrection}


@dataclass(frozen=True, slots=True)
class RankingRecipe:
    """What samples, model, training and trees need to know."""

    slice_share: float = 0.25
    """Share of the training events, newest first, that retrieval's first stage does not see and ranking learns from
    (time split)."""
    slice_items: int = 3
    """A user's newest training events that ranking learns from (leave-one-out)."""
    max_requests: int = 16_000
    """Targets replayed for training, a sample of whole users' if there are more."""
    max_valid_requests: int = 1500
    max_slates: int = 2000
    """Shown slates replayed for the tasks that tell engagement from exposure."""
    candidates: int = 500
    """Candidates retrieved for a request: what serves retrieves as many."""
    hard_negatives: int = 20
    """Best candidates kept of each training request."""
    drawn_negatives: int = 20
    """And drawn ones out of the rest, each standing for several."""
    unmasked_share: float = 0.3
    """Share of the training requests whose candidates may hold items the user has seen, as a caller may ask for."""
    history: int = 50
    """Newest history items that candidates attend to."""
    dim: int = 16
    """Of the item vectors inside the ranker."""
    cross_layers: int = 2
    cross_rank: int = 32
    hidden: int = 64
    dropout: float = 0.3
    members: int = 3
    """Models averaged in one graph, each from its own seed."""
    epochs: int = 3
    """The learning rate falls to 0 over these; the epoch that does best on the validation part is kept."""
    stop_requests: int = 500
    """Validation requests that say so."""
    batch_requests: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    trees: int = 150
    leaves: int = 15
    tree_rows: int = 300_000
    attention: Attention = "none"
    """How candidates read the history: training/ranking/networks says what each is, here and below. None by default:
    the front door's lists are ordered as well or better without, docs/training.md."""
    attention_heads: int = 2
    """Of the transformer; they share `dim`."""
    cross: Cross = "dcn"
    heads: Heads = "shared"
    experts: int = 4
    """Of mmoe."""
    position_correction: PositionCorrection = "none"
    """What the place on a slate does is learned beside the ranker, and left out where it serves."""

    compress: bool = True
    """Whether smaller forms of the ranker are tried: training/ranking/compression."""
    student_epochs: int = 2
    kept_units: float = 0.5
    """Share of hidden units and ranks that pruning leaves."""
    most_lost: float = 0.005
    """Share of NDCG@10 on the validation part that the form taken may lose."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in get_args(choices):
                raise ConfigError(
                    f"ranking recipe: {name} is {getattr(self, name)!r}: one of {', '.join(get_args(choices))}"
                )
        if self.dim % self.attention_heads:
            raise ConfigError(
                f"ranking recipe: attention_heads is {self.attention_heads}: it must divide dim, {self.dim}"
            )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, for the manifest."""
        return asdict(self)


def served_ranking(recipe: Mapping[str, Any]) -> RankingRecipe:
    """Of the ranker that a bundle serves, from its manifest's recipe: what was compressed is another network."""
    # Before it could be chosen the attention was this one.
    return RankingRecipe(**{"attention": "target", **recipe.get("served_ranking", recipe["ranking"])})
