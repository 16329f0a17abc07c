"""Sequence files in both shapes, and which file of a folder is read."""

from pathlib import Path

import pytest

from penchant.errors import DataError
from training.data.read import read_dataset


def order(path: Path) -> dict[str, list[str]]:
    dataset = read_dataset(path)
    result: dict[str, list[str]] = {}
    for user, item in zip(dataset.events.users, dataset.events.items, strict=True):
        result.setdefault(dataset.user_ids[user], []).append(dataset.item_ids[item])
    return result


def test_both_shapes_give_the_same_sequences(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("1 a\n1 b\n2 c\n1 a\n")
    (tmp_path / "lines.txt").write_bytes("\ufeff1 a b a\r\n\r\n2\tc\r\n".encode())
    assert order(tmp_path / "pairs.txt") == order(tmp_path / "lines.txt") == {"1": ["a", "b", "a"], "2": ["c"]}


def test_each_user_has_a_position_clock(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("1 a b\n2 c\n1 d\n")
    dataset = read_dataset(tmp_path / "s.txt")
    assert dataset.name == "s"
    assert not dataset.has_times
    assert dataset.event_types == ["click"]
    user = dataset.user_ids.index("1")
    assert dataset.events.times[dataset.events.users == user].tolist() == [1_000_000, 2_000_000, 3_000_000]


def test_a_line_without_item_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("1 a\n\n2\n")
    with pytest.raises(DataError, match="holds no item") as caught:
        read_dataset(tmp_path / "s.txt")
    assert caught.value.line == 3


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_bytes(b"1 a\n2 \xff\n")
    with pytest.raises(DataError, match="UTF-8") as caught:
        read_dataset(tmp_path / "s.txt")
    assert caught.value.line == 2


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("")
    with pytest.raises(DataError, match="the file is empty: give `user item`"):
        read_dataset(tmp_path / "s.txt")


def test_the_one_sequence_file_of_a_folder_is_found_among_notes_and_maps(tmp_path: Path) -> None:
    (tmp_path / "ratings.txt").write_text("1 a\n2 b-7\n")
    (tmp_path / "LICENSE.txt").write_text("You may use this\n")
    (tmp_path / "about.txt").write_text("Two words, and then some: prose.\n")
    (tmp_path / "old_to_new.txt").write_text("1 2\n")
    assert read_dataset(tmp_path).name == "ratings"
    (tmp_path / "more.txt").write_text("1 a\n")
    with pytest.raises(DataError, match=r"several sequence files.*more\.txt.*name one"):
        read_dataset(tmp_path)


def test_nothing_readable_says_what_would_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.toml"):
        read_dataset(tmp_path)
    with pytest.raises(DataError, match="no such folder or file"):
        read_dataset(tmp_path / "gone")


def test_dataset_toml_may_be_named_itself(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text('[events]\nfiles = ["e.csv"]\nuser = "u"\nitem = "i"\n')
    (tmp_path / "e.csv").write_text("u,i\n1,a\n")
    assert len(read_dataset(tmp_path / "dataset.toml").events) == 1
