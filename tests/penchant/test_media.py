"""Media in the small form that encoders take."""

import numpy as np
import pytest
from media_files import picture_file, sound_file

from penchant.media import (
    PICTURE,
    SOUND,
    VOCABULARY,
    WORDS,
    MediaError,
    canonical,
    packed,
    picture,
    sound,
    spectra,
    unpacked,
    word_numbers,
)


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF", "WEBP", "JPEG"])
def test_a_picture_of_any_form_and_size_becomes_its_pixels(form: str) -> None:
    pixels = picture(picture_file(form=form))
    assert pixels.shape == PICTURE
    assert np.abs(pixels.astype(int) - [200, 30, 10]).max() <= 4


def test_what_is_transparent_lies_on_white() -> None:
    assert (picture(picture_file((0, 0, 0, 0))) == 255).all()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is no picture"),
        (b"GIF89a or not", "picture"),
        (picture_file(size=(300, 300))[:200], "is a broken picture"),
        (picture_file((1, 1, 1), (8000, 6000)), "8000 x 6000 pixels, at most"),
    ],
)
def test_what_is_no_picture_says_why(data: bytes, said: str) -> None:
    with pytest.raises(MediaError, match=said):
        picture(data)


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_tone_is_loudest_in_the_same_band_at_every_rate_and_width(rate: int, width: int) -> None:
    low, high = (sound(sound_file(hz, rate, width, channels=2)).mean(axis=0).argmax() for hz in (300, 1500))
    assert (low, high) == (4, 18)


def test_how_loud_a_sound_is_does_not_show_and_silence_is_zeros() -> None:
    loud = np.frombuffer(sound_file(440)[44:], "<i2").astype(np.float64)
    np.testing.assert_array_equal(spectra(loud, 8000), spectra(0.1 * loud, 8000))
    assert not spectra(0 * loud, 8000).any()


@pytest.mark.parametrize("seconds", [0.001, 0.01, 3.0])
def test_a_sound_of_any_length_has_the_same_shape(seconds: float) -> None:
    assert sound(sound_file(440, seconds=seconds)).shape == SOUND


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "is no sound"), (sound_file(440)[:30], "is no sound"), (sound_file(440, seconds=0.0), "of no length")],
)
def test_what_is_no_sound_says_why(data: bytes, said: str) -> None:
    with pytest.raises(MediaError, match=said):
        sound(data)


def test_a_file_that_ends_early_is_heard_as_far_as_it_goes() -> None:
    assert sound(sound_file(440)[:2001]).shape == SOUND


def test_media_as_text_come_back_and_nothing_else_does() -> None:
    np.testing.assert_array_equal(unpacked(canonical(picture_file()), PICTURE), picture(picture_file()))
    np.testing.assert_array_equal(unpacked(canonical(sound_file(440)), SOUND), sound(sound_file(440)))
    for other in (packed(np.zeros(SOUND, np.uint8)), "a word", 7.0, None, "data:application/x-penchant-media;base64,?"):
        assert unpacked(other, PICTURE) is None


def test_words_are_numbered_alike_wherever_they_stand_and_the_first_ones_count() -> None:
    first, second = word_numbers(["Red shoes", "for running"]), word_numbers(["shoes"])
    assert first[1] == second[0]
    assert first.shape == (WORDS,)
    assert np.count_nonzero(first) == 4
    assert first.max() < VOCABULARY
    assert word_numbers(["word " * 100]).all()
