"""How the sources are blended; chosen on validation, kept in the manifest."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """The blend and the quotas.

    score = tower_weight * <user, item> + (1 - tower_weight) * log(co-visitation probability + floor)
    + trend_weight * log(share of the trend). A user without history gets the trend alone.
    quotas: candidates each source may propose at most; the blend orders the union.
    """

    tower_weight: float = 0.3
    floor: float = 1e-4
    trend_weight: float = 0.0
    history_half_life: float = 3.0
    """Items after which a history item's co-visitation weight has halved."""
    trend_window: int = -1
    """Which popularity window the bundle's trend was made of; -1 is all time."""
    new_lift: float = 0.0
    """Added to the blend of items newer than the bundle, which would else seldom come first: they are taken to be
    average in all but their content."""
    quotas: Mapping[str, int] = field(
        default_factory=lambda: {
            "two_tower": 300, "co_visitation": 300, "popular": 50, "fresh": 20, "content": 30, "caller": 1000,
        }
    )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "RetrievalSettings":
        """From to_json()'s output."""
        return cls(**raw)
