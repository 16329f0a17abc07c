"""What is written besides events, and what became of a batch."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONSENT_PERSONALISATION = 2
"""penchant.v1.Consent: personalisation of this user alone."""
CONSENT_NONE = 3
"""penchant.v1.Consent: counted, then dropped."""


@dataclass(frozen=True, slots=True)
class ItemWrite:
    """An item as its owner describes it; attributes hold str, float, list of str, and bytes of a file until it is read.

    created_us 0: on arrival.
    """

    item_key: int
    item_id: str
    tenant: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    available: bool = True
    deleted: bool = False
    created_us: int = 0


@dataclass(frozen=True, slots=True)
class UserWrite:
    """A user as their owner describes them; the attributes replace earlier ones."""

    user_key: int
    user_id: str
    tenant: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    ingest_time_us: int = 0

    def texts(self) -> dict[str, str]:
        """Attributes as the features compare them: numbers in their shortest form, lists joined with "|"."""
        return {name: _text(value) for name, value in self.attributes.items()}


@dataclass(frozen=True, slots=True)
class IdentityMerge:
    """From now on from_key is into_key. Of the three ids of whom is merged exactly one is given."""

    from_key: int
    into_key: int
    into_user_id: str
    tenant: str = ""
    anonymous_id: str = ""
    device_id: str = ""
    user_id: str = ""
    ingest_time_us: int = 0

    @property
    def from_field(self) -> str:
        """Which of the three is given."""
        return next((name for name in ("anonymous_id", "device_id", "user_id") if getattr(self, name)), "from")


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of a merge: the log position to read it at, and whether they were one before."""

    position: int
    already: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why one entry was not taken: its index, the field's path, what is wrong and the remedy."""

    index: int
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch. position is the log position of the last accepted entry (0: none), or of the items."""

    accepted: int
    rejections: tuple[Rejected, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Begun:
    """A batch that is on its way into the log, and its place in the order settled; position None: nothing to log."""

    accepted: int
    rejections: tuple[Rejected, ...]
    position: asyncio.Future[int] | None

    async def written(self) -> Written:
        """What became of it, once it is applied. Raises StoreUnavailable, LogError."""
        position = 0 if self.position is None else await asyncio.shield(self.position)
        return Written(self.accepted, self.rejections, position)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return "|".join(value)
