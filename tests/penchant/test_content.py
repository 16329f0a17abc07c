"""Content vectors: what counts, what does not, and that they are the same everywhere and always."""

import numpy as np

from penchant.content import CONTENT_DIM, content_vectors, item_tokens, tag_values, tokens


def test_tokens_are_words_in_lower_case_and_named_tags() -> None:
    assert tokens(["Toy Story (1995)", "toy"], {"genres": ["Comedy", "Kids"]}) == [
        "toy", "story", "1995", "toy", "genres=Comedy", "genres=Kids",
    ]  # fmt: skip


def test_what_the_schema_does_not_name_is_not_content() -> None:
    attributes = {"title": "A B", "genre": ["x", "x", ""], "price": 3.0, "image": "a/b.png", "note": None}
    assert item_tokens(attributes, ("genre",), ("title", "note")) == ["a", "b", "genre=x"]


def test_a_written_attribute_as_tags() -> None:
    assert tag_values("x") == ["x"]
    assert tag_values(["b", "a", "b", "", None]) == ["b", "a"]
    assert tag_values(3.0) == ["3"]
    assert tag_values(2.5) == ["2.5"]
    assert tag_values(None) == tag_values("") == tag_values([]) == []


def test_vectors_have_unit_length_and_nothing_is_nothing() -> None:
    vectors = content_vectors([["a", "b", "genre=x"], [], ["a"]])
    assert vectors.shape == (3, CONTENT_DIM)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1], atol=1e-6)
    assert content_vectors([]).shape == (0, CONTENT_DIM)


def test_a_vector_is_the_same_in_every_process() -> None:
    """Bundles outlive processes: a hash that changed would move every item written later away from its kind."""
    places = np.flatnonzero(content_vectors([["toy", "genres=Comedy"]])[0])
    assert places.tolist() == [51, 58]


def test_order_is_of_no_account_and_what_is_shared_is_near() -> None:
    one, turned, kin, stranger = content_vectors(
        [["a", "b", "g=x"], ["g=x", "b", "a"], ["c", "d", "g=x"], ["e", "f", "g=y"]]
    )
    assert np.allclose(one, turned)
    assert one @ kin > 0.5 > abs(float(one @ stranger))
