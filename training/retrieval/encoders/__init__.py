"""Models of a user's interest, by the name that a recipe gives."""

from penchant.errors import ConfigError
from training.retrieval.encoders.base import Encoder
from training.retrieval.encoders.gru4rec import Gru4RecEncoder
from training.retrieval.encoders.hstu import HstuEncoder
from training.retrieval.encoders.ligr import LigrEncoder
from training.retrieval.encoders.nextitnet import NextItNetEncoder
from training.retrieval.encoders.sasrec import SasRecEncoder
from training.retrieval.encoders.two_tower import TwoTowerEncoder
from training.retrieval.encoders.youtube_dnn import YoutubeDnnEncoder

__all__ = ["ENCODERS", "Encoder", "encoder_type"]

ENCODERS: dict[str, type[Encoder]] = {
    "sasrec": SasRecEncoder,
    "ligr": LigrEncoder,
    "hstu": HstuEncoder,
    "gru4rec": Gru4RecEncoder,
    "nextitnet": NextItNetEncoder,
    "youtube_dnn": YoutubeDnnEncoder,
    "two_tower": TwoTowerEncoder,
}


def encoder_type(name: str) -> type[Encoder]:
    """The encoder of that name. Raises ConfigError naming the known ones."""
    if name not in ENCODERS:
        raise ConfigError(f"unknown encoder {name!r}: known are {', '.join(sorted(ENCODERS))}")
    return ENCODERS[name]
