"""What a user searched for, in the items' content space: words, tags by their values, and how it fades."""

import numpy as np
import pytest

from penchant.columns import TagColumn
from penchant.content import content_vectors, tokens
from penchant.item_table import ItemTable
from penchant.retrieval.text import HALF_LIFE_US, WINDOW_US, ContentIndex, cosines, lifted, text_vector

NOW_US = 1_780_000_000_000_000
ITEMS = [
    ("The quiet harbour", ["Drama"]),
    ("Rockets over Ulm", ["Science Fiction"]),
    ("Harbour lights", ["Comedy", "Drama"]),
    ("Two left feet", ["Comedy"]),
]


@pytest.fixture(scope="module")
def table() -> ItemTable:
    vocabulary = ("Comedy", "Drama", "Science Fiction")
    codes = [[vocabulary.index(tag) for tag in tags] for _, tags in ITEMS]
    indptr = np.cumsum([0, 0, *map(len, codes)])
    content = content_vectors([tokens([title], {"genres": tags}) for title, tags in ITEMS])
    count = len(ITEMS)
    return ItemTable(
        np.arange(count + 1), ["", *"abcd"], np.zeros((count + 1, 2), np.float32), np.zeros((count + 1, 1), np.float32),
        np.concatenate([np.zeros((1, content.shape[1]), np.float32), content]), np.zeros(count + 1, np.int64),
        {"genres": TagColumn(vocabulary, indptr, np.concatenate(codes).astype(np.uint32))}, {},
    )  # fmt: skip


def found(table: ItemTable, *texts: tuple[int, str], as_of_us: int = NOW_US) -> list[str]:
    vector = text_vector(texts, as_of_us, table)
    assert vector is not None
    rows = ContentIndex(table.content.base).nearest(vector, table.content.extra, table.allowed(), 10)
    return [table.ids[row] for row in rows.tolist()]


def test_words_find_titles_and_values_find_tags(table: ItemTable) -> None:
    assert set(found(table, (NOW_US, "harbour"))) == {"a", "c"}
    assert found(table, (NOW_US, "a comedy, please"))[0] == "d"
    assert found(table, (NOW_US, "SCIENCE fiction"))[0] == "b"
    assert found(table, (NOW_US, "harbour comedy"))[0] == "c"


def test_the_newest_search_weighs_most_and_old_ones_are_forgotten(table: ItemTable) -> None:
    old, new = (NOW_US - 2 * HALF_LIFE_US, "science fiction"), (NOW_US, "comedy")
    assert found(table, old, new)[0] == "d"
    assert found(table, (old[0], new[1]), (new[0], old[1]))[0] == "b"
    assert text_vector([(NOW_US - WINDOW_US - 1, "comedy")], NOW_US, table) is None
    assert text_vector([(NOW_US, "comedy")], NOW_US - 3600 * 1_000_000, table) is None
    assert text_vector([(NOW_US, "?!")], NOW_US, table) is None


def test_a_texts_length_is_how_fresh_it_is_and_never_beyond_one(table: ItemTable) -> None:
    fresh = text_vector([(NOW_US, "comedy")], NOW_US, table)
    later = text_vector([(NOW_US, "comedy")], NOW_US + HALF_LIFE_US, table)
    many = text_vector([(NOW_US, "comedy")] * 8, NOW_US, table)
    for vector, length in ((fresh, 1.0), (later, 0.5), (many, 1.0)):
        assert vector is not None
        assert np.linalg.norm(vector) == pytest.approx(length, rel=1e-5)


def test_what_was_asked_for_is_lifted_and_nothing_falls(table: ItemTable) -> None:
    vector = text_vector([(NOW_US, "comedy")], NOW_US, table)
    assert vector is not None
    scores = np.array([4.0, 3.0, 2.0, 1.0, np.nan], np.float32)
    content = table.content[np.array([1, 2, 3, 4, 0])]
    after = lifted(scores, content, vector)
    assert after[:2].tolist() == [4.0, 3.0]
    assert after[3] > 3.0
    assert np.isnan(after[4])
    assert cosines(content, vector)[3] > cosines(content, vector)[2] > 0.0


def test_the_index_finds_what_the_whole_matrix_finds() -> None:
    rng = np.random.default_rng(1)
    said = [f"w{n}" for n in range(60)]
    content = np.concatenate([[np.zeros(256)], content_vectors([list(rng.choice(said, 5)) for _ in range(400)])])
    content = content.astype(np.float32)
    bundled, late = content[:301], content[301:]
    allowed = rng.random(401) < 0.7
    index = ContentIndex(bundled)
    for _ in range(20):
        vector = content_vectors([list(rng.choice(said, 3))])[0]
        found = index.nearest(vector, late, allowed, 30)
        whole = np.where(allowed, content @ vector, -1.0)
        assert allowed[found].all()
        assert np.allclose(np.sort(whole)[::-1][: len(found)], whole[found], atol=1e-5)
        assert len(found) == min(30, int((whole > 0.1).sum()))
