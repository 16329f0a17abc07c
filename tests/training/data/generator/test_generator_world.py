"""The generator: a folder the ordinary reader reads, the same for the same seed, with a truth that explains it."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from penchant.errors import ConfigError
from penchant.media import picture, sound
from training.data.dataset import Dataset
from training.data.generator import GeneratorSettings, generate
from training.data.generator.cli import main
from training.data.read import read_dataset

SMALL = GeneratorSettings(users=60, items=200, events=4_000, days=20, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated") / "small"
    generate(SMALL, out)
    return out


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return read_dataset(folder)


def test_the_ordinary_reader_reads_it_and_drops_nothing(folder: Path, dataset: Dataset) -> None:
    acts = pl.read_parquet(folder / "events.parquet")
    shown = pl.read_parquet(folder / "exposures.parquet")
    assert len(acts) == SMALL.events
    assert len(dataset.events) == len(acts) + len(shown)
    assert dataset.name == "generated"
    assert dataset.has_times
    assert set(dataset.tasks) == {"click", "like", "purchase"}
    assert set(dataset.items.categorical) == {"category", "brand", "price_band"}
    assert set(dataset.items.multi) == {"tags"}
    assert set(dataset.items.text) == {"title", "description"}
    assert set(dataset.users.categorical) == {"age_band", "country", "device"}
    assert len(dataset.item_ids) == SMALL.items


def test_every_event_type_occurs_and_searches_carry_text_and_no_item(dataset: Dataset) -> None:
    assert set(dataset.event_types) == {
        "impression", "view", "search", "click", "like", "purchase", "hide", "comment", "share",
    }  # fmt: skip
    events = dataset.events
    search = events.types == dataset.event_types.index("search")
    assert events.texts is not None
    assert (events.items[search] == -1).all()
    assert (events.texts[search] != "").all()
    assert (events.items[~search] >= 0).all()


def test_files_are_in_time_order(folder: Path) -> None:
    for name in ("events", "exposures"):
        assert pl.read_parquet(folder / f"{name}.parquet")["time"].is_sorted()


def test_every_click_was_shown_on_its_slate_before(dataset: Dataset) -> None:
    events = dataset.events
    assert events.slates is not None
    assert events.impressions is not None
    shown = {
        (s, i): t
        for s, i, t in zip(
            events.slates[events.impressions].tolist(), events.items[events.impressions].tolist(),
            events.times[events.impressions].tolist(), strict=True,
        )
    }  # fmt: skip
    clicks = np.flatnonzero(events.types == dataset.event_types.index("click"))
    assert len(clicks) > 1000
    for i in clicks.tolist():
        assert shown[(int(events.slates[i]), int(events.items[i]))] <= events.times[i]


def test_items_are_shown_only_while_they_live(folder: Path) -> None:
    items = pl.read_parquet(folder / "items.parquet").select("item", "created", "ends")
    shown = pl.read_parquet(folder / "exposures.parquet").join(items, on="item")
    assert (shown["time"] >= shown["created"]).all()
    # A slate is put together when it is asked for; its last position may be looked at some minutes later.
    assert (shown["time"] < shown["ends"] + 3_600_000_000).all()


def test_sessions_of_one_user_do_not_overlap(folder: Path) -> None:
    sessions = pl.read_parquet(folder / "truth" / "sessions.parquet").sort("user", "start_us")
    later = sessions.with_columns(pl.col("end_us").shift(1).over("user").alias("before")).drop_nulls("before")
    assert (later["start_us"] - later["before"] >= 30 * 60_000_000).all()


def test_shifts_are_marked_and_move_what_is_clicked(folder: Path) -> None:
    sessions = pl.read_parquet(folder / "truth" / "sessions.parquet")
    shifted = sessions.filter(pl.col("shift_us") >= 0)
    assert 0.15 < len(shifted) / len(sessions) < 0.35
    assert (shifted["shift_topic"] != shifted["topic"]).all()
    assert ((shifted["shift_us"] > shifted["start_us"]) & (shifted["shift_us"] <= shifted["end_us"])).all()
    topics = pl.read_parquet(folder / "truth" / "items.parquet").select("item", pl.col("topic").alias("of_item"))
    clicks = pl.read_parquet(folder / "events.parquet").filter(pl.col("event") == "click").join(topics, on="item")
    clicks = clicks.join(shifted.drop("user"), on="session")
    after = clicks.filter(pl.col("time") >= pl.col("shift_us"))
    before = clicks.filter(pl.col("time") < pl.col("shift_us"))
    assert (before["of_item"] == before["topic"]).mean() > 2 * (after["of_item"] == after["topic"]).mean()  # type: ignore[operator]
    assert (after["of_item"] == after["shift_topic"]).mean() > 0.3  # type: ignore[operator]


def test_the_truth_of_exposures_explains_the_clicks(folder: Path) -> None:
    truth = pl.read_parquet(folder / "truth" / "exposures.parquet")
    shown = pl.read_parquet(folder / "exposures.parquet")
    assert truth.select("slate", "position").equals(shown.select("slate", "position"))
    clicks = pl.read_parquet(folder / "events.parquet").filter(pl.col("event") == "click")
    clicked = shown.join(clicks.select("slate", "item"), on=["slate", "item"], how="semi")
    expected = truth["p_click"].sum()
    assert abs(len(clicked) - expected) < 5 * expected**0.5


def test_position_bias_is_the_one_in_the_truth(tmp_path: Path) -> None:
    generate(GeneratorSettings(users=400, items=3_000, events=4_000, days=20), tmp_path / "large")
    world = json.loads((tmp_path / "large" / "truth" / "world.json").read_text())
    shown = pl.read_parquet(tmp_path / "large" / "exposures.parquet")
    looks = np.bincount(shown["position"].to_numpy())
    slates = shown["slate"].n_unique()
    np.testing.assert_allclose(looks[:4] / slates, world["position_bias"][:4], rtol=0.15)


def test_the_same_seed_gives_the_same_files_and_another_seed_others(folder: Path, tmp_path: Path) -> None:
    generate(SMALL, tmp_path / "again")
    for name in ("events.parquet", "exposures.parquet", "items.parquet", "users.parquet", "truth/tastes.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    generate(GeneratorSettings(users=60, items=200, events=4_000, days=20, seed=4), tmp_path / "other")
    assert (tmp_path / "other" / "events.parquet").read_bytes() != (folder / "events.parquet").read_bytes()


def test_csv_holds_the_same_dataset(dataset: Dataset, tmp_path: Path) -> None:
    generate(GeneratorSettings(users=60, items=200, events=4_000, days=20, seed=3, format="csv"), tmp_path / "csv")
    other = read_dataset(tmp_path / "csv")
    assert other.item_ids == dataset.item_ids
    np.testing.assert_array_equal(other.events.items, dataset.events.items)
    np.testing.assert_array_equal(other.events.times, dataset.events.times)
    assert other.events.texts is not None
    assert other.events.texts.tolist() == dataset.events.texts.tolist()  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def with_media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "media"
    generate(GeneratorSettings(users=5, items=400, events=50, days=2, media=True), folder)
    return folder


def _told_of_the_rest(said: np.ndarray, factors: np.ndarray) -> float:
    """Share of the factors' variance that a ridge regression on half of the items tells of the other half."""
    said = (said - said.mean(axis=0)) / said.std(axis=0)
    half, mean = len(said) // 2, factors[: len(said) // 2].mean(axis=0)
    inner = said[:half].T @ said[:half] + 100 * np.eye(said.shape[1])
    found = said[half:] @ np.linalg.solve(inner, said[:half].T @ (factors[:half] - mean))
    return float(1 - ((factors[half:] - mean - found) ** 2).sum() / ((factors[half:] - mean) ** 2).sum())


def test_pictures_and_sounds_tell_an_item_s_direction_in_part_and_both_together_more(with_media: Path) -> None:
    read = read_dataset(with_media)
    seen = np.stack([picture(Path(path).read_bytes()) for path in read.items.image["image"]])
    small = seen.reshape(len(seen), 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(len(seen), -1)
    heard = np.stack([sound(Path(path).read_bytes()) for path in read.items.audio["sound"]]).mean(axis=1)
    truth = pl.read_parquet(with_media / "truth" / "items.parquet")
    place = {id_: i for i, id_ in enumerate(truth["item"].to_list())}
    factors = truth["factors"].to_numpy()[[place[i] for i in read.item_ids], :12]
    pictures, sounds = _told_of_the_rest(small, factors), _told_of_the_rest(heard, factors)
    assert 0.05 < pictures < 0.7
    assert 0.05 < sounds < 0.7
    assert _told_of_the_rest(np.concatenate([small, heard], axis=1), factors) > max(pictures, sounds) + 0.03


def test_the_same_seed_gives_the_same_media(with_media: Path, tmp_path: Path) -> None:
    generate(GeneratorSettings(users=5, items=400, events=50, days=2, media=True), tmp_path / "again")
    files = sorted((with_media / "media").iterdir())
    assert len(files) == 800
    for file in files[::40]:
        assert (tmp_path / "again" / "media" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(("users", "items", "events"), [(1, 20, 1), (2, 20, 400), (30, 5_000, 40)])
def test_worlds_of_odd_sizes_come_to_an_end(tmp_path: Path, users: int, items: int, events: int) -> None:
    counts = generate(GeneratorSettings(users=users, items=items, events=events, days=2), tmp_path / "odd")
    assert counts["acts"] == events
    assert len(read_dataset(tmp_path / "odd").item_ids) == items


def test_a_folder_that_is_not_empty_is_left_alone(folder: Path) -> None:
    before = sorted(p.name for p in folder.iterdir())
    with pytest.raises(ConfigError, match="not empty"):
        generate(SMALL, folder)
    assert sorted(p.name for p in folder.iterdir()) == before


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(acts: int) -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        generate(SMALL, tmp_path / "out", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"), [("users", 0), ("items", 3), ("days", 0), ("shift_share", 1.5), ("format", "xml")]
)
def test_what_cannot_be_made_is_refused_by_option(option: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"--{option.replace('_', '-')}"):
        GeneratorSettings(**{option: value})  # type: ignore[arg-type]


def test_the_command_ends_with_a_json_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--out", str(tmp_path / "g"), "--users", "10", "--items", "30", "--events", "100", "--days", "3"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["acts"] == 100
    assert main(arguments) == 2
