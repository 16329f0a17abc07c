"""How large a world to make, and how its people behave."""

from dataclasses import dataclass
from datetime import UTC, datetime

from penchant.errors import ConfigError

FORMATS = ("parquet", "csv")


@dataclass(frozen=True, slots=True)
class GeneratorSettings:
    """What `python -m training generate` takes. Raises ConfigError, naming the option, for what cannot be made."""

    users: int = 1_000
    items: int = 2_000
    events: int = 100_000
    """Acts of users (searches, clicks, likes, ...); the exposures of the slates they acted on come on top."""
    days: int = 60
    """How long it takes, unless that would mean more than a handful of visits a day."""
    seed: int = 0
    start: str = "2026-01-05T00:00:00+00:00"
    shift_share: float = 0.25
    """Share of the sessions in which the taste moves to another topic half-way."""
    slate_size: int = 8
    arriving: float = 0.25
    """Share of the items that arrive after the start."""
    item_life_days: float = 90.0
    """Mean time an item lives."""
    exposures: bool = True
    media: bool = False
    format: str = "parquet"

    def __post_init__(self) -> None:
        for option, low, high in (
            ("users", 1, 100_000_000),
            ("items", 20, 10_000_000),
            ("events", 1, 10_000_000_000),
            ("days", 1, 3_650),
            ("seed", 0, 2**63 - 1),
            ("shift_share", 0.0, 1.0),
            ("slate_size", 2, 12),
            ("arriving", 0.0, 0.9),
            ("item_life_days", 1.0, 1e6),
        ):
            value = getattr(self, option)
            if not low <= value <= high:
                raise ConfigError(f"--{option.replace('_', '-')} is {value}: give {low} to {high}")
        if self.format not in FORMATS:
            raise ConfigError(f"--format is {self.format!r}: one of {', '.join(FORMATS)}")
        _ = self.start_us

    @property
    def start_us(self) -> int:
        """UTC microseconds of the first moment."""
        try:
            moment = datetime.fromisoformat(self.start)
        except ValueError:
            raise ConfigError(f"--start is {self.start!r}: give ISO 8601 such as 2026-01-05T00:00:00Z") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if moment.year < 1980:
            raise ConfigError(f"--start is {self.start!r}: give 1980 or later")
        return int(moment.timestamp()) * 1_000_000
