"""What is written is what was trained."""

from pathlib import Path

import numpy as np

from penchant.item_reader import ItemReader
from penchant.retrieval import CoVisitation
from penchant.sessions import open_session
from training.retrieval.export import write_index
from training.retrieval.sequences import newest
from training.retrieval.trained import TrainedRetrieval


def test_the_written_towers_answer_as_the_trained_ones(toy_trained: TrainedRetrieval, tmp_path: Path) -> None:
    specs = toy_trained.write(tmp_path)
    length = toy_trained.recipe.history_length
    users = np.arange(20)
    histories = newest(toy_trained.histories, users, length)
    histories[3, :-2] = 0
    tower = open_session(tmp_path, specs["user_tower"])
    whole = tower({"history_rows": histories})
    np.testing.assert_allclose(whole, toy_trained.user_vectors(histories), atol=1e-4)
    single = np.concatenate([tower({"history_rows": histories[i : i + 1]}) for i in users])
    np.testing.assert_allclose(single, whole, atol=1e-5)
    unseen = np.array([toy_trained.catalogue.ids.index(i) for i in ("i60", "i61")])
    reader = ItemReader.open(tmp_path)
    assert reader is not None
    content = reader.vectors([{"kind": "round"}, {"kind": "square"}])
    items = open_session(tmp_path, specs["item_tower"])({"content": content})
    np.testing.assert_allclose(items, toy_trained.embeddings[unseen], atol=1e-4)
    assert CoVisitation.open(tmp_path / "retrieval").indptr.tolist() == toy_trained.co_visitation.indptr.tolist()
    keys = np.load(tmp_path / "users" / "keys.npy")
    assert (np.diff(keys) > 0).all()
    assert len(keys) == len(np.load(tmp_path / "users" / "embeddings.npy"))


def test_what_is_served_never_sees_padding(toy_trained: TrainedRetrieval) -> None:
    short = np.zeros((1, 12), np.int64)
    short[0, -3:] = [5, 9, 2]
    np.testing.assert_allclose(
        toy_trained.user_vectors(short), toy_trained.user_vectors(short[:, -3:]), atol=1e-5
    )  # fmt: skip


def test_equal_embeddings_give_an_equal_index(tmp_path: Path) -> None:
    embeddings = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    for name in ("a", "b"):
        write_index(embeddings, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
