"""The three MovieLens formats, from tiny samples written here."""

from pathlib import Path

import numpy as np
import pytest

from penchant.errors import DataError
from training.data.read import dataset_name, read_dataset

GENRES = ["unknown", "Action", "Comedy"]


@pytest.fixture
def ml_100k(tmp_path: Path) -> Path:
    (tmp_path / "u.data").write_text("1\t10\t5\t881250949\n2\t10\t3\t881250950\n1\t20\t1\t881250951\n")
    (tmp_path / "u.genre").write_text("".join(f"{g}|{i}\n" for i, g in enumerate(GENRES)) + "\n")
    (tmp_path / "u.item").write_bytes(
        b"10|Toy Story (1995)|01-Jan-1995||http://x|0|1|1\n"
        b"20|Mis\xe9rables, Les\x85 (1998)|01-Jan-1998||http://y|0|0|0\n"
        b"30|unknown||||1|0|0\n"
    )
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|94043\n3|7|F|other|1\n")
    return tmp_path


def test_100k(ml_100k: Path) -> None:
    dataset = read_dataset(ml_100k)
    assert dataset.name == dataset_name(ml_100k) == "ml-100k"
    assert dataset.has_times
    assert dataset.event_types == ["rating"]
    assert dataset.events.values.tolist() == [5.0, 3.0, 1.0]
    assert dataset.events.times[0] == 881_250_949_000_000
    assert dataset.item_ids == ["10", "20", "30"]
    assert dataset.items.multi["genres"] == [("Action", "Comedy"), (), ("unknown",)]
    assert dataset.items.text["title"][1] == "Misérables, Les\x85 (1998)"
    np.testing.assert_array_equal(dataset.items.numeric["year"], np.array([1995, 1998, np.nan], np.float32))
    assert dataset.users.categorical == {
        "age": ["20", "50"],
        "gender": ["M", "F"],
        "occupation": ["technician", "other"],
    }
    assert dataset.tasks == {"like": "value >= 4", "rating": "value"}


def test_1m(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::1193::5::978300760\n1::661::3::978302109\n")
    (tmp_path / "movies.dat").write_bytes(
        b"1193::One Flew Over (1975)::Drama\n661::Pok\xe9mon (1996)::Animation|Children's\n"
    )
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n")
    dataset = read_dataset(tmp_path)
    assert dataset.name == dataset_name(tmp_path) == "ml-1m"
    assert dataset.items.multi["genres"] == [("Drama",), ("Animation", "Children's")]
    assert dataset.users.categorical == {"age": ["1"], "gender": ["F"], "occupation": ["10"]}
    assert len(dataset.events) == 2


def test_latest_is_named_as_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "ml-latest-tiny"
    folder.mkdir()
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,3,0.5,964981247\n")
    (folder / "movies.csv").write_text(
        "movieId,title,genres\n1,Toy Story (1995),Adventure|Animation\n"
        '3,"American President, The (1995)",(no genres listed)\n'
    )
    dataset = read_dataset(folder)
    assert dataset.name == "ml-latest-tiny"
    assert dataset.items.text["title"][1] == "American President, The (1995)"
    assert dataset.items.multi["genres"] == [("Adventure", "Animation"), ()]
    assert dataset.events.values.tolist() == [0.5, 4.0]


def test_a_bad_rating_names_its_line_past_blank_ones(ml_100k: Path) -> None:
    (ml_100k / "u.data").write_text("1\t10\t5\t881250949\n\n\n2\t10\tgood\t881250950\n")
    with pytest.raises(DataError, match="'good' is no number") as caught:
        read_dataset(ml_100k)
    assert (Path(caught.value.file).name, caught.value.line) == ("u.data", 4)


def test_a_torn_line_is_named(ml_100k: Path) -> None:
    (ml_100k / "u.data").write_text("1\t10\t5\t881250949\n2\t10\n")
    with pytest.raises(DataError, match="2 columns, expected 4") as caught:
        read_dataset(ml_100k)
    assert caught.value.line == 2


def test_a_missing_companion_is_named(ml_100k: Path) -> None:
    (ml_100k / "u.user").unlink()
    with pytest.raises(DataError, match=r"u\.user: is missing"):
        read_dataset(ml_100k)


def test_latest_with_another_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("user,movie,rating,timestamp\n1,1,4.0,964982703\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,x,y\n")
    with pytest.raises(DataError, match="userId"):
        read_dataset(tmp_path)
