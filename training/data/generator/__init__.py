"""A world of users with drifting tastes, and what they do with the slates they are shown, with the truth beside it."""

from training.data.generator.settings import GeneratorSettings
from training.data.generator.world import generate

__all__ = ["GeneratorSettings", "generate"]
