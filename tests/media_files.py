"""Files of pictures and sounds, made as a test needs them."""

import io
import wave

import numpy as np
from PIL import Image


def picture_file(colour: tuple[int, ...] = (200, 30, 10), size: tuple[int, int] = (80, 50), form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(file, form)
    return file.getvalue()


def sound_file(hz: float, rate: int = 8000, width: int = 2, seconds: float = 0.5, channels: int = 1) -> bytes:
    file = io.BytesIO()
    wave_N = 0.6 * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)
    if width == 1:
        raw = np.rint(127 * wave_N + 128).astype(np.uint8).tobytes()
    elif width == 3:
        whole = np.rint(8_388_607 * wave_N).astype("<i4")
        raw = whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    else:
        raw = np.rint((2 ** (8 * width - 1) - 1) * wave_N).astype(f"<i{width}").tobytes()
    frames = np.frombuffer(raw, np.uint8).reshape(-1, width)
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(np.tile(frames, (1, channels)).tobytes())
    return file.getvalue()
