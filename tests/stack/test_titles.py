"""Names of items for people."""

from pathlib import Path

import polars as pl
import pytest

from stack.titles import item_titles


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("movies.csv", 'movieId,title,genres\n7,"Sabrina, again (1995)",Comedy\n'),
        ("movies.dat", "7::Sabrina, again (1995)::Comedy\n"),
        ("u.item", "7|Sabrina, again (1995)|01-Jan-1995||http\n"),
    ],
)
def test_movielens_has_titles(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert item_titles(tmp_path)["7"] == "Sabrina, again (1995)"


def test_a_described_folder_has_its_first_text(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text(
        '[items]\nfiles = ["items.tsv"]\ndelimiter = "\\t"\nid = "i"\ntext = ["t"]\n'
    )
    (tmp_path / "items.tsv").write_text("i\tx\tt\na\t1\tShoes\n")
    assert item_titles(tmp_path) == {"a": "Shoes"}


def test_parquet_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text('[items]\nfiles = ["items.parquet"]\nid = "i"\ntext = ["t"]\n')
    pl.DataFrame({"i": ["a", "b"], "t": ["Shoes", None]}).write_parquet(tmp_path / "items.parquet")
    assert item_titles(tmp_path) == {"a": "Shoes"}


@pytest.mark.parametrize("toml", ["", "[items]\n", '[items]\nfiles = []\nid = "i"\ntext = ["t"]\n', "broken ["])
def test_without_titles_there_are_none(tmp_path: Path, toml: str) -> None:
    (tmp_path / "dataset.toml").write_text(toml)
    assert item_titles(tmp_path) == {}
