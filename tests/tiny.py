"""A tiny data set with every kind of event, and a bundle really trained on it, for tests of every part."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_TOML = """
name = "tiny"
[events]
files = ["events.csv"]
user = "user"
item = "item"
time = "time"
type = { column = "event" }
value = { column = "value" }
text = "text"
slate_position = "position"
[items]
files = ["items.csv"]
id = "id"
text = "title"
multi = [{ column = "genres", separator = "|" }]
categorical = ["maker"]
numeric = ["price"]
[users]
files = ["users.csv"]
id = "id"
categorical = ["plan"]
[tasks]
click = "type == click"
purchase = "type == purchase"
like = "value >= 4"
rating = "value"
"""
_GENRES = ("drama", "comedy", "crime", "science")


def write_tiny_data(folder: Path, users: int = 40, items: int = 80, slates: int = 900, seed: int = 0) -> Path:
    """Users are shown slates, click what continues their walk along the catalogue, and rate, buy or hide some."""
    rng = np.random.default_rng(seed)

    def genre(item: int) -> str:
        return _GENRES[item * len(_GENRES) // items]

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.toml").write_text(_TOML)
    _write(
        folder / "items.csv",
        ["id", "title", "genres", "maker", "price"],
        [[f"i{i}", f"Thing {i} of {genre(i)}", f"{genre(i)}|new" if i % 7 == 0 else genre(i), f"m{i % 5}", 5 + i % 11]
         for i in range(items)],
    )  # fmt: skip
    _write(folder / "users.csv", ["id", "plan"], [[f"u{u}", ("free", "paid")[u % 2]] for u in range(users)])
    place = rng.integers(0, items, users)
    seen: list[set[int]] = [set() for _ in range(users)]
    start_s = 1_760_000_000 + np.sort(rng.integers(0, 60 * 86_400, slates))
    rows: list[list[Any]] = []
    for time_s in start_s.tolist():
        user = int(rng.integers(users))
        following = [int((place[user] + step) % items) for step in (1, 2, 3)]
        slate = list(dict.fromkeys([*following, *rng.integers(0, items, 3).tolist()]))
        rng.shuffle(slate)
        for position, item in enumerate(i for i in slate if i not in seen[user]):
            at = time_s + position * 3
            rows.append([f"u{user}", f"i{item}", at, "impression", "", "", position])
            if rng.random() > (0.7 if item in following else 0.1):
                continue
            rows.append([f"u{user}", f"i{item}", at + 1, "click", "", "", position])
            seen[user].add(item)
            place[user] = item
            if rng.random() < 0.3:
                rows.append([f"u{user}", f"i{item}", at + 2, "purchase", "", "", ""])
            if rng.random() < 0.4:
                value = 3 + (item % 2) * 1.5 + float(rng.integers(-1, 2)) * 0.5
                rows.append([f"u{user}", f"i{item}", at + 2, "rating", value, "", ""])
        if rng.random() < 0.05:
            rows.append([f"u{user}", f"i{rng.integers(items)}", time_s + 60, "hide", "", "", ""])
        if rng.random() < 0.05:
            rows.append([f"u{user}", "", time_s + 61, "search", "", "drama", ""])
    _write(folder / "events.csv", ["user", "item", "time", "event", "value", "text", "position"], rows)
    return folder


def _write(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with dataset.toml: 40 users, 80 items, slates with clicks, ratings, purchases, hides and searches."""
    return write_tiny_data(tmp_path_factory.mktemp("tiny") / "data")


@pytest.fixture(scope="session")
def tiny_bundles(tiny_data: Path) -> tuple[Path, Path]:
    """(data folder, folder of bundles): the tiny recipe really trained, its bundle published, time split."""
    from training.data.read import read_dataset
    from training.fit import fit
    from training.recipes import resolve

    bundles = tiny_data.parent / "bundles"
    dataset = read_dataset(tiny_data)
    fit(dataset, resolve("tiny", dataset), bundles, seed=0, protocol="time-split")
    return tiny_data, bundles
