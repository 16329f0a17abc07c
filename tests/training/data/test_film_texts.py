"""MovieLens 1M joined with texts."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.data.film_texts import main
from training.data.read import read_dataset


@pytest.fixture
def films(tmp_path: Path) -> Path:
    (tmp_path / "movies.dat").write_bytes(b"10::Mis\xe9rables, Les (1998)::Drama|Musical\n20::Toy (1995)::Comedy\n")
    (tmp_path / "texts.json").write_text(json.dumps({"10": "A man, hunted.", "99": "nobody's"}))
    return tmp_path


def test_ratings_films_and_texts_become_one_data_set(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (films / "ratings.dat").write_text("1::10::5::978300760\n1::20::3::978300761\n")
    assert main(["--movielens", str(films), "--texts", str(films / "texts.json"), "--out", str(films / "out")]) == 0
    assert json.loads(capsys.readouterr().out)["texts"] == 1
    dataset = read_dataset(films / "out")
    assert dataset.item_ids == ["10", "20"]
    assert dataset.items.text == {"title": ["Misérables, Les (1998)", "Toy (1995)"], "text": ["A man, hunted.", ""]}
    assert dataset.items.multi == {"genres": [("Drama", "Musical"), ("Comedy",)]}
    assert dataset.event_types == ["rating"]
    assert dataset.has_times
    np.testing.assert_array_equal(dataset.events.values, [5, 3])


def test_an_order_without_times_keeps_each_users_order(films: Path) -> None:
    (films / "interactions.raw_ids.csv").write_text("user_id,movie_id,pos\n2,10,1\n2,20,0\n1,10,0\n")
    assert main(["--movielens", str(films), "--texts", str(films / "texts.json"), "--out", str(films / "out")]) == 0
    dataset = read_dataset(films / "out")
    assert not dataset.has_times
    second = dataset.events.users == dataset.user_ids.index("2")
    assert [dataset.item_ids[i] for i in dataset.events.items[second]] == ["20", "10"]


def test_what_is_missing_is_named(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--movielens", str(films), "--texts", str(films / "texts.json"), "--out", str(films / "out")]) == 2
    assert "interactions.raw_ids.csv: is missing, and so is ratings.dat" in capsys.readouterr().err
    assert main(["--movielens", str(films), "--texts", str(films / "movies.dat"), "--out", str(films / "out")]) == 2
    assert "movies.dat: is no JSON" in capsys.readouterr().err
