"""The item tower, fitted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penchant.item_media import ServedEncoder
from penchant.item_reader import ItemReader
from penchant.sessions import open_session
from training.content import item_map
from training.content.item_map import fit_map

READER = ItemReader.of(["title"], [], {})
WORDS = [f"w{i}" for i in range(12)]


def world(items: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Content [N, C] and the embeddings [N, 5] that it truly has, both with a row 0."""
    rng = np.random.default_rng(seed)
    said = [{"title": " ".join(rng.choice(WORDS, 3, replace=False))} for _ in range(items)]
    content = np.concatenate([np.zeros((1, READER.width), np.float32), READER.vectors(said)])
    truth = np.random.default_rng(9).standard_normal((READER.width, 5)).astype(np.float32)
    return content, content @ truth + np.float32(0.5)


def test_items_that_nobody_met_stand_where_their_content_says() -> None:
    content, embeddings = world(300)
    counts = np.full(301, 50)
    counts[250:] = 0
    embeddings[0] = 0.0
    fitted = fit_map(READER, lambda rows: content[rows], np.where(counts[:, None] > 0, embeddings, 99.0), counts)
    error = np.abs(fitted.embeddings(content[250:]) - embeddings[250:])
    assert error.mean() < 0.1 * embeddings[250:].std()


def test_few_items_and_many_give_the_same_kind_of_map() -> None:
    content, embeddings = world(60)
    fitted = fit_map(READER, lambda rows: content[rows], embeddings, np.full(61, 50))
    assert np.corrcoef(fitted.embeddings(content[1:]).ravel(), embeddings[1:].ravel())[0, 1] > 0.9


def test_what_is_written_answers_alike_and_says_nothing_of_nothing(tmp_path: Path) -> None:
    content, embeddings = world(80)
    fitted = fit_map(READER, lambda rows: content[rows], embeddings, np.full(81, 5))
    spec = fitted.write(tmp_path, content[1:])
    found = open_session(tmp_path, spec)({"content": content})
    np.testing.assert_allclose(found, fitted.embeddings(content), atol=1e-4)
    assert not found[0].any()
    assert found[1].any()
    assert ItemReader.open(tmp_path) == READER


def test_without_items_that_were_met_everything_is_zeros() -> None:
    content, embeddings = world(10)
    fitted = fit_map(READER, lambda rows: content[rows], embeddings, np.zeros(11, np.int64))
    assert not fitted.embeddings(content).any()


def test_a_block_that_another_one_explains_as_well_stands_for_it_where_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    # An encoder that finds nothing: with any, blocks are taken to be missing at times.
    encoder = ServedEncoder("blind", 2, "picture", ("cover",), lambda feed: np.zeros((len(feed["raw"]), 2), np.float32))
    reader = replace(ItemReader.of(["title"], ["kind"], {}), encoders=(encoder,))
    kinds = rng.integers(0, 6, 400)
    said = [{"title": f"thing w{kind}", "kind": [f"k{kind}"]} for kind in kinds.tolist()]
    content = np.concatenate([np.zeros((1, reader.width), np.float32), reader.vectors(said)])
    embeddings = np.concatenate([np.zeros((1, 4)), rng.standard_normal((6, 4))[kinds]]).astype(np.float32)

    def spread() -> list[float]:
        """Of what each block alone says, as a share of the truth's."""
        fitted = fit_map(reader, lambda rows: content[rows], embeddings, np.full(401, 50))
        found = [fitted.placed([{name: one[name]} for one in said]) for name in ("title", "kind")]
        for places in found:
            assert np.corrcoef((places - places.mean(axis=0)).ravel(), centred.ravel())[0, 1] > 0.95
        return [float(places.std(axis=0).mean() / centred.std(axis=0).mean()) for places in found]

    centred = embeddings[1:] - embeddings[1:].mean(axis=0)
    title, kind = spread()
    monkeypatch.setattr(item_map, "MISSING", 0.0)
    title_less, kind_less = spread()
    assert title > 1.1 * title_less
    assert kind > 0.8 * kind_less
