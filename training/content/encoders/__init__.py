"""Encoders of what an item looks, sounds and reads like, trained here, by name."""

from training.content.encoders.base import MediaEncoder
from training.content.encoders.picture_cnn import PictureCnn
from training.content.encoders.sound_cnn import SoundCnn
from training.content.encoders.text_cnn import TextCnn
from training.content.encoders.text_transformer import TextTransformer

__all__ = ["ENCODERS", "MediaEncoder"]

ENCODERS: dict[str, type[MediaEncoder]] = {
    "picture_cnn": PictureCnn,
    "sound_cnn": SoundCnn,
    "text_cnn": TextCnn,
    "text_transformer": TextTransformer,
}
