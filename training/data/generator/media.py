"""A small picture and a short sound for every item: their colours, stripes and tones are the item's taste factors."""

import wave
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.generator.catalogue import TOPIC_DIM, Catalogue

SIDE = 32
RATE = 8_000
SECONDS = 0.5
_TONES_HZ = 220.0 * 2.0 ** (np.arange(TOPIC_DIM) * 4 / 12)


def write_media(catalogue: Catalogue, folder: Path, seed: int) -> None:
    """ID.png (32 x 32 RGB) and ID.wav (half a second, 8 kHz, mono, 16 bit) an item."""
    folder.mkdir()
    directions = catalogue.factors[:, :TOPIC_DIM]
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    time = np.arange(int(RATE * SECONDS)) / RATE
    tones = np.sin(2 * np.pi * _TONES_HZ[:, None] * time)
    rng = np.random.default_rng([seed, 3])
    for id_, direction in zip(catalogue.ids, directions, strict=True):
        Image.fromarray(picture(direction, x, y, rng)).save(folder / f"{id_}.png")
        loud = np.exp(2.0 * direction)
        sound = (loud / loud.sum()) @ tones + 0.02 * rng.standard_normal(len(time))
        with wave.open(str(folder / f"{id_}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes((np.clip(sound, -1, 1) * 32_000).astype("<i2").tobytes())


def picture(direction: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 [SIDE, SIDE, 3]: three colours, a gradient, stripes and a blob, each driven by its own factors."""
    d = np.asarray(direction, np.float64) * 2.0
    base = 0.5 + 0.35 * np.tanh(d[0:3])
    gradient = np.tanh(d[3]) * (x - 0.5) + np.tanh(d[4]) * (y - 0.5)
    turn = np.pi * np.tanh(d[6])
    stripes = 0.2 * np.sin(2 * np.pi * (4 + 3 * np.tanh(d[5])) * (x * np.cos(turn) + y * np.sin(turn)))
    centre = 0.5 + 0.35 * np.tanh(d[7:9])
    blob = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 0.02)
    shade = base + (gradient + stripes)[..., None] * 0.5 + blob[..., None] * (0.4 * np.tanh(d[9:12]))
    noisy = shade + 0.03 * rng.standard_normal((SIDE, SIDE, 3))
    return np.asarray(np.clip(noisy, 0, 1) * 255, np.uint8)
