"""A small picture and a short sound for every item, drawn from what it is and from what is of no account.

Each shows the item's direction as through a glass of its own: a blur that is the item's and the medium's, then
colours, stripes and a shape, or partials and beats. How clear it is tells something of the item's quality, which no
text does. Where the shape lies, how the light falls, where the stripes begin, how loud and how high it is played and
what lies over it say nothing. So one medium tells a part, two tell more.
"""

import io
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.generator.catalogue import STYLE_DIM, TOPIC_DIM, Catalogue

SIDE = 40
RATE = 8_000
SECONDS = 0.75
_BLUR = 0.15
"""Spread of what a medium adds to each factor of a direction of unit length, itself 0.29 on average."""
_STEEP = 3.0
_CARELESS = 0.7
"""Spread of what a medium adds to the quality, itself 1."""
_Y, _X = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
_TIME = np.arange(int(RATE * SECONDS)) / RATE
_TONES_HZ = 220.0 * 2.0 ** (np.arange(TOPIC_DIM) * 4 / 12)


def write_media(catalogue: Catalogue, folder: Path, seed: int) -> None:
    """ID.png (SIDE x SIDE RGB) and ID.wav (SECONDS at RATE Hz, mono, 16 bit) an item."""
    folder.mkdir()
    rng = np.random.default_rng([seed, 3])
    known = catalogue.factors[:, : TOPIC_DIM + STYLE_DIM].astype(np.float64)
    for id_, factors, quality in zip(catalogue.ids, known, catalogue.quality.tolist(), strict=True):
        seen, heard = np.tanh(_STEEP * (factors + _BLUR * rng.standard_normal((2, len(factors)))))
        clear, pure = 1 / (1 + np.exp(-(quality + _CARELESS * rng.standard_normal(2))))
        (folder / f"{id_}.png").write_bytes(png(picture(seen, clear, rng)))
        (folder / f"{id_}.wav").write_bytes(wav(sound(heard, pure, rng)))


def picture(z: NDArray[np.float64], clear: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """[SIDE, SIDE, 3] of factors z in -1 to 1: a ground of two colours, stripes, a shape, and a frame in the style.

    clear, 0 to 1: how much contrast and how little grain.
    """
    light, contrast, grain = rng.normal(0.0, 0.08), 0.6 + 0.4 * clear, 0.12 - 0.1 * clear
    turn = rng.normal(0.0, 0.4)
    across = np.clip(0.5 + (_X - 0.5) * np.cos(turn) + (_Y - 0.5) * np.sin(turn), 0, 1)[..., None]
    ground = 0.5 + 0.3 * (across * z[0:3] + (1 - across) * z[3:6])
    slope = np.pi / 2 * (1 + z[7])
    along = _X * np.cos(slope) + _Y * np.sin(slope)
    stripes = 0.12 * np.sin(2 * np.pi * (5 + 3 * z[6]) * along + rng.uniform(0, 2 * np.pi))
    at, radius = rng.uniform(0.3, 0.7, 2), 0.2 + 0.1 * z[8]
    apart = (
        np.maximum(np.abs(_X - at[0]), np.abs(_Y - at[1])) if rng.random() < 0.5 else np.hypot(_X - at[0], _Y - at[1])
    )
    inside = 1 / (1 + np.exp((apart - radius) * 2 * SIDE))[..., None]
    shade = (1 - inside) * (ground + stripes[..., None]) + inside * (0.5 + 0.4 * z[9:12])
    framed = np.minimum(np.minimum(_X, 1 - _X), np.minimum(_Y, 1 - _Y)) < 0.06
    shade[framed] = 0.5 + 0.4 * z[TOPIC_DIM : TOPIC_DIM + 3]
    left, top = rng.integers(0, SIDE - 8, 2)
    shade[top : top + 8, left : left + 8] = rng.random(3)
    noisy = 0.5 + light + contrast * (shade - 0.5) + grain * rng.standard_normal((SIDE, SIDE, 3))
    return np.asarray(np.clip(noisy, 0, 1) * 255, np.uint8)


def sound(z: NDArray[np.float64], pure: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """Samples of factors z in -1 to 1: twelve partials, each as loud as its factor, in the tempo of the style.

    pure, 0 to 1: how little hiss.
    """
    detuned = _TONES_HZ * 2.0 ** (rng.normal(0.0, 0.5) / 12)
    partials = np.sin(2 * np.pi * detuned[:, None] * _TIME + rng.uniform(0, 2 * np.pi, (TOPIC_DIM, 1)))
    loud = np.exp(1.2 * z[:TOPIC_DIM])
    beat = 6 + 3 * z[TOPIC_DIM]
    envelope = 1 + 0.5 * (1 + z[TOPIC_DIM + 1]) * np.sin(2 * np.pi * beat * _TIME + rng.uniform(0, 2 * np.pi))
    played = envelope * ((loud / np.linalg.norm(loud)) @ partials)
    hiss = np.cumsum(rng.standard_normal(len(_TIME))) if rng.random() < 0.5 else 20 * rng.standard_normal(len(_TIME))
    heard = played + (0.6 - 0.55 * pure) * hiss / hiss.std()
    heard *= rng.uniform(0.2, 0.9) / np.abs(heard).max()
    return np.asarray(heard * 32_767, np.int16)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def wav(samples: NDArray[np.int16]) -> bytes:
    """A WAV file, mono."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()
