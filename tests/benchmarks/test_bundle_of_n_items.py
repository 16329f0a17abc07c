"""A catalogue made larger: what is trained stays, what is added lies where its kin lie."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.catalogue import extended
from penchant.bundle import current, verify
from penchant.errors import ConfigError
from penchant.item_table import ItemTable
from services.runtime.loaded import LoadedBundle, load_bundle


@pytest.fixture(scope="module")
def source(tiny_bundles: tuple[Path, Path]) -> Path:
    """A folder of bundles."""
    return tiny_bundles[1]


@pytest.fixture(scope="module")
def larger(source: Path, tmp_path_factory: pytest.TempPathFactory) -> LoadedBundle:
    """A bundle of 1,500 items, checked as the services check theirs: golden rows, shapes, checksums."""
    folder = extended(source, 1500, tmp_path_factory.mktemp("larger"), followers=5)
    return load_bundle(folder, verify(folder))


def trained_table(source: Path) -> ItemTable:
    folder = current(source)
    assert folder is not None
    return ItemTable.open(folder)


def test_trained_items_keep_their_vectors_and_attributes(source: Path, larger: LoadedBundle) -> None:
    trained = trained_table(source)
    rows = larger.table.rows_of(trained.keys[1:])
    assert larger.table.row_count == 1501
    assert (rows > 0).all()
    np.testing.assert_array_equal(larger.table.embeddings[rows], trained.embeddings.base[1:])
    for name, column in trained.tags.items():
        assert [larger.table.tags[name].values_of(row) for row in rows.tolist()] == [
            column.values_of(row) for row in range(1, trained.row_count)
        ]


def test_what_is_added_is_as_long_as_its_origin_and_nearer_to_it_than_to_most(
    source: Path, larger: LoadedBundle
) -> None:
    trained = trained_table(source)
    names = {name: row for row, name in enumerate(trained.ids)}
    ranks = []
    for row, name in list(enumerate(larger.table.ids))[1::7]:
        origin = names[name.split("~")[0]]
        vector = larger.table.embeddings.base[row]
        assert np.linalg.norm(vector) == pytest.approx(np.linalg.norm(trained.embeddings.base[origin]), rel=1e-4)
        unit = trained.embeddings.base[1:] / np.linalg.norm(trained.embeddings.base[1:], axis=1, keepdims=True)
        cosines = unit @ vector
        ranks.append(int((cosines > cosines[origin - 1] + 1e-6).sum()))
    assert np.mean(ranks) < len(names) / 10


def test_followers_are_kin_of_the_followers_and_no_more_than_asked_for(source: Path, larger: LoadedBundle) -> None:
    assert larger.retrieval is not None
    lengths = np.diff(larger.retrieval.co_visitation.indptr)
    assert 0 < lengths.max() <= 5
    assert larger.retrieval.co_visitation.targets.min() > 0


def test_it_answers_with_distinct_items_of_both_kinds(larger: LoadedBundle) -> None:
    assert larger.retrieval is not None
    candidates, degraded = larger.retrieval.retrieve(np.array([5, 9, 200]), larger.table.allowed(), 300)
    assert degraded == ()
    assert len(np.unique(candidates.rows)) == len(candidates.rows) == 300
    assert {"~" in larger.table.ids[row] for row in candidates.rows.tolist()} == {True, False}


def test_a_catalogue_is_not_made_smaller(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give a larger number"):
        extended(source, 10, tmp_path)
