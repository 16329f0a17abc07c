"""Pictures, sounds and texts in the small form that encoders take: the same for a data set's files and for what is
written to the running service.

Pictures are 32 x 32 pixels; sounds 64 short spectra spread over the whole length, 32 bands each on the mel scale
(Stevens, Volkmann and Newman 1937), in decibels below the loudest; texts the numbers of their first words, hashed.
"""

import base64
import io
import wave
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import xxhash
from numpy.typing import NDArray

from penchant.content import words

Bytes = NDArray[np.uint8]
PICTURE = (32, 32, 3)
"""Height, width, RGB."""
SOUND = (64, 32)
"""Spectra, bands."""
WORDS = 48
"""Words of a text that are read."""
VOCABULARY = 8192
"""Numbers that words are hashed to; 0 is no word."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_MOST_PIXELS = 40_000_000
_WINDOW_S = 0.032
_RANGE_DB = 80.0
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 4000.0
_MARK = "data:application/x-penchant-media;base64,"


class MediaError(ValueError):
    """A file is not what can be read; the text says why, and the remedy."""


def picture(data: bytes) -> Bytes:
    """A picture file as uint8 PICTURE, what is transparent on white. Raises MediaError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            if file.width * file.height > _MOST_PIXELS:
                raise MediaError(f"has {file.width} x {file.height} pixels, at most {_MOST_PIXELS:,}: make it smaller")
            file.draft("RGB", (2 * PICTURE[1], 2 * PICTURE[0]))
            image = file.convert("RGBA")
    except UnidentifiedImageError:
        raise MediaError(f"is no picture that can be read: give one of {', '.join(FORMATS)}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise error if isinstance(error, MediaError) else MediaError(f"is a broken picture ({error})") from None
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    small = ground.convert("RGB").resize((PICTURE[1], PICTURE[0]), Image.Resampling.BILINEAR)
    return np.asarray(small, np.uint8)


def sound(data: bytes) -> Bytes:
    """A WAV file of whole-number samples, channels mixed, as uint8 SOUND: 0 is silence. Raises MediaError."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError, ValueError) as error:
        why = str(error) or "it ends early"
        raise MediaError(f"is no sound that can be read ({why}): give WAV, PCM of 8 to 32 bits") from None
    raw = raw[: len(raw) // (width * channels) * width * channels]
    if not raw or rate <= 0:
        raise MediaError("is a sound of no length")
    return spectra(_samples(raw, width).reshape(-1, channels).mean(axis=1), rate)


def spectra(samples: NDArray[np.float64], rate: int) -> Bytes:
    """uint8 SOUND of mono samples at so many a second; how loud it is on the whole does not show."""
    window = max(round(_WINDOW_S * rate), 8)
    samples = np.pad(samples, (0, max(window - len(samples), 0)))
    starts = np.linspace(0, len(samples) - window, SOUND[0]).astype(np.int64)
    cut = samples[starts[:, None] + np.arange(window)] * np.hanning(window)
    power = np.abs(np.fft.rfft(cut, axis=1)) ** 2 @ _bands(window, rate)
    loudest = float(power.max())
    if loudest <= 0.0:
        return np.zeros(SOUND, np.uint8)
    below = 10.0 * np.log10(np.maximum(power / loudest, 1e-12))
    return np.asarray(np.rint(255.0 * np.clip(1.0 + below / _RANGE_DB, 0.0, 1.0)), np.uint8)


def word_numbers(texts: Iterable[str]) -> NDArray[np.int64]:
    """Of one item's texts, one after the other: int64 [WORDS], 0 where there are no more."""
    numbers = np.zeros(WORDS, np.int64)
    said = [_number(word) for text in texts for word in words(text)][:WORDS]
    numbers[: len(said)] = said
    return numbers


def canonical(data: bytes) -> str:
    """A file of either kind as text that unpacked() takes. Raises MediaError."""
    return packed(sound(data) if data[:4] == b"RIFF" and data[8:12] == b"WAVE" else picture(data))


def packed(values: Bytes) -> str:
    """As text, for attributes."""
    return _MARK + base64.b64encode(values.tobytes()).decode()


def is_packed(text: str) -> bool:
    """Whether it is packed()'s."""
    return text.startswith(_MARK)


def unpacked(text: object, shape: Sequence[int]) -> Bytes | None:
    """Back from packed(); None for what is no medium of this shape."""
    if not isinstance(text, str) or not is_packed(text):
        return None
    try:
        raw = base64.b64decode(text[len(_MARK) :], validate=True)
    except ValueError:
        return None
    return np.frombuffer(raw, np.uint8).reshape(shape) if len(raw) == int(np.prod(shape)) else None


@lru_cache(maxsize=1 << 16)
def _number(word: str) -> int:
    return 1 + xxhash.xxh3_64_intdigest(word.encode()) % (VOCABULARY - 1)


def _samples(raw: bytes, width: int) -> NDArray[np.float64]:
    if width == 1:
        return np.frombuffer(raw, np.uint8).astype(np.float64) - 128.0
    if width == 3:
        spread = np.zeros((len(raw) // 3, 4), np.uint8)
        spread[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        return spread.view("<i4")[:, 0].astype(np.float64)
    return np.frombuffer(raw, f"<i{width}").astype(np.float64)


@lru_cache(maxsize=8)
def _bands(window: int, rate: int) -> NDArray[np.float64]:
    """Triangles over the bins of a window, [bins, bands]; each adds up to 1, so that a wide one is not louder."""
    bins = np.fft.rfftfreq(window, 1.0 / rate)
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), SOUND[1] + 2)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    at = _mel(bins)[:, None]
    found = np.clip(np.minimum((at - low) / (middle - low), (high - at) / (high - middle)), 0.0, None)
    return np.asarray(found / np.maximum(found.sum(axis=0), 1e-9))


def _mel(hz: NDArray[np.floating] | float) -> NDArray[np.float64]:
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0))
