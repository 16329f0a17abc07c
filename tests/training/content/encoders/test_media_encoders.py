"""Encoders of media, trained on items whose media tell where they are."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from penchant.errors import ConfigError
from penchant.item_media import INPUT, SHAPES, open_encoders
from penchant.item_reader import ItemReader
from penchant.media import packed
from training.content.encoders import ENCODERS
from training.content.encoders.fit import fit_network, predicted
from training.content.encoders.trained import LEAST, TrainedEncoder, fit_encoders, write_encoders_of
from training.data.dataset import Attributes

DIM = 4


def told(medium: str, count: int = 160, seed: int = 0) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Raw inputs that say two numbers each, in noise, and vectors made of these two and two of their own."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-1, 1, (count, 2))
    if medium == "words":
        raw = np.zeros((count, *SHAPES[medium]), np.int64)
        raw[:, 0] = 10 + (truth[:, 0] > 0)
        raw[:, 1] = 20 + (truth[:, 1] > 0)
        raw[:, 2:9] = rng.integers(100, 120, (count, 7))
    else:
        noise = 100 + 20 * rng.standard_normal((count, *SHAPES[medium]))
        if medium == "picture":
            noise += 60 * np.stack([truth[:, 0], truth[:, 1], 0 * truth[:, 0]], axis=1)[:, None, None]
        else:
            noise[:, :, 5:9] += 60 * truth[:, :1, None]
            noise[:, :, 20:24] += 60 * truth[:, 1:, None]
        raw = np.clip(noise, 0, 255).astype(np.uint8)
    vectors = np.concatenate([truth, 0.3 * rng.standard_normal((count, 2))], axis=1) + 5.0
    return raw, vectors.astype(np.float32)


def correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_tells_where_items_are_that_it_was_not_trained_on(name: str) -> None:
    raw, vectors = told(ENCODERS[name].medium)
    network, held_out = fit_network(name, raw[:120], vectors[:120], np.ones(120, np.float32), shown=1500)
    found = predicted(network, raw[120:])
    assert correlation(found[:, :2], vectors[120:, :2] - 5.0) > 0.6
    assert 0.4 < correlation(held_out[:, :2], vectors[:120, :2] - 5.0) < 0.99
    assert 0.7 < np.linalg.norm(held_out, axis=1).mean() < 1.4


def test_equal_seeds_train_equal_encoders() -> None:
    raw, vectors = told("words", 40)
    one, other = (fit_network("text_cnn", raw, vectors, np.ones(40, np.float32), shown=80)[1] for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_noise_teaches_an_encoder_little() -> None:
    raw, vectors = told("picture", 90)
    _, held_out = fit_network("picture_cnn", raw[::-1], vectors, np.ones(90, np.float32), shown=900)
    assert abs(correlation(held_out[:, :2], vectors[:, :2] - 5.0)) < 0.4


def items_with(folder: Path, count: int = 40) -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
    """Items with a picture file, a sound as it was written, and texts."""
    pictures, vectors = told("picture", count)
    sounds, _ = told("sound", count)
    items = []
    for i in range(count):
        path = folder / f"{i}.png"
        Image.fromarray(pictures[i]).save(path)
        title = f"{'red' if vectors[i, 0] > 5 else 'blue'} thing"
        items.append({"cover": str(path), "jingle": packed(sounds[i]), "title": title, "made": f"number {i}"})
    return items, vectors


def fitted(items: list[dict[str, Any]], vectors: NDArray[np.float32], *names: str) -> tuple[TrainedEncoder, ...]:
    kinds = Attributes(image={"cover": []}, audio={"jingle": []}, text={"title": [], "made": []})
    ids = [f"i{n}" for n in range(len(items))]
    return fit_encoders(names, kinds, items, ids, vectors, np.ones(len(items), np.float32), shown=60)


def test_what_is_served_says_what_was_trained_and_zeros_where_there_is_nothing(tmp_path: Path) -> None:
    items, vectors = items_with(tmp_path)
    trained = fitted(items, vectors, *ENCODERS)
    assert [e.name for e in trained] == [
        "picture_cnn:cover", "sound_cnn:jingle", "text_cnn:title+made", "text_transformer:title+made"
    ]  # fmt: skip
    (tmp_path / "bundle" / "retrieval").mkdir(parents=True)
    write_encoders_of(ItemReader((), (), {}, trained), tmp_path / "bundle")
    served = open_encoders(tmp_path / "bundle")
    assert [(e.name, e.width) for e in served] == [(e.name, DIM) for e in trained]
    new, _ = told("picture", 3, seed=9)
    written = [
        {"cover": packed(new[0]), "jingle": items[0]["jingle"], "title": "red thing of the sea"},
        {"title": "", "cover": "not a picture", "jingle": 7.0},
        {"cover": packed(new[1])},
    ]
    for of_training, of_service in zip(trained, served, strict=True):
        answers = of_service.vectors(written)
        assert not answers[1].any()
        if of_training.medium != "sound":
            # The sound is one of training's: of that the encoder says what it would say without it.
            readable = [{**item, "cover": item.get("cover", "").replace("not a picture", "")} for item in written]
            np.testing.assert_allclose(of_training.vectors(readable), answers, atol=1e-4)
        np.testing.assert_array_equal(of_service.vectors(written[:1]), answers[:1])
        assert of_service.vectors([]).shape == (0, DIM)


def test_a_file_that_is_missing_or_broken_is_named_with_its_item_and_the_rest_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    items, vectors = items_with(tmp_path)
    (tmp_path / "3.png").write_bytes(b"no picture")
    (tmp_path / "4.png").unlink()
    items[5] = {"cover": ""}
    with caplog.at_level(logging.WARNING, "penchant.media"):
        (encoder,) = fitted(items, vectors, "picture_cnn")
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("i3: ")
    assert "3.png is no picture that can be read: give one of PNG, JPEG" in first
    assert first.endswith("; it goes without this picture")
    assert second.startswith("i4: ")
    assert "4.png cannot be read (No such file or directory)" in second
    found = encoder.vectors(items)
    assert np.flatnonzero(~found.any(axis=1)).tolist() == [3, 4, 5]


def test_many_faults_are_counted_and_not_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    items, vectors = items_with(tmp_path)
    for i in range(15):
        (tmp_path / f"{i}.png").write_bytes(b"")
    with caplog.at_level(logging.WARNING, "penchant.media"):
        fitted(items, vectors, "picture_cnn")
    assert len(caplog.records) == 11
    assert caplog.records[-1].getMessage() == "5 more go without their picture"


def test_a_medium_that_few_items_have_gets_no_encoder(tmp_path: Path) -> None:
    items, vectors = items_with(tmp_path, LEAST - 1)
    assert fitted(items, vectors, "picture_cnn") == ()


def test_an_unknown_encoder_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    items, vectors = items_with(tmp_path, LEAST)
    with pytest.raises(ConfigError, match="unknown encoder 'vgg' of media: known are picture_cnn, sound_cnn, text_cnn"):
        fitted(items, vectors, "vgg")


def test_the_input_is_called_raw() -> None:
    assert INPUT == "raw"
