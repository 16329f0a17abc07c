"""What a dataset holds, for people and for programs."""

import json
from pathlib import Path

import pytest
from described_shop import ISSUE_TOML
from PIL import Image

from training.__main__ import main


def test_a_dataset_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dataset.toml").write_text(ISSUE_TOML)
    (tmp_path / "train.csv").write_text("user_id\titem_id\ttime\n1\ta\t2026-01-05\n\tb\t2026-01-06\n1\tb\t2026-01-07\n")
    (tmp_path / "item_meta.csv").write_text("item_id\ti_category\na\tshoes\nc\t\n")
    assert main(["describe", "--data", str(tmp_path)]) == 0
    described = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert described["name"] == "shop"
    assert described["event_types"] == {"purchase": 2}
    assert described["times"] == ["2026-01-05T00:00:00+00:00", "2026-01-07T00:00:00+00:00"]
    assert (described["items"], described["items_with_events"]) == (3, 2)
    assert described["item_attributes"] == {"i_category": "categorical, 33% filled"}
    assert described["cleaning"] == {"items_read": 2, "rows_read": 3, "missing_user": 1, "events": 2}


def test_media_that_are_missing_or_broken_are_counted_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dataset.toml").write_text(ISSUE_TOML + 'image = ["front", "back"]\n')
    (tmp_path / "train.csv").write_text("user_id\titem_id\ttime\n1\ta\t2026-01-05\n1\tb\t2026-01-07\n")
    (tmp_path / "item_meta.csv").write_text("item_id\ti_category\tfront\tback\na\tshoes\ta.png\t\nb\t\tb.png\tc.png\n")
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    assert main(["describe", "--data", str(tmp_path)]) == 0
    described = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert described["item_media"] == {"front": "1 read, 1 broken", "back": "0 read"}
    assert described["cleaning"]["image_files_missing"] == 1
    missing, broken = (record.getMessage() for record in caplog.records)
    assert missing == "b: c.png is not there; it goes without this picture"
    assert broken.startswith(f"b: {tmp_path / 'b.png'} is no picture that can be read")


def test_an_error_is_one_line_that_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dataset.toml").write_text(ISSUE_TOML)
    (tmp_path / "train.csv").write_text("user_id\titem_id\ttime\n1\ta\tsoon\n")
    assert main(["describe", "--data", str(tmp_path)]) == 2
    assert f"describe: {tmp_path / 'train.csv'}:2 [time]: 'soon' is no time" in capsys.readouterr().err.replace(
        "\n", ""
    )
