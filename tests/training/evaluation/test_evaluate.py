"""python -m training evaluate: its JSON, its page, its refusals."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from training.evaluation.cli import main
from training.evaluation.page import page_of

SINCE_THE_FIRST = {
    "dataset", "protocol", "seed", "through", "targets_sha256", "users", "cpu_s", "wall_s", "bundle", "bundle_seed",
    "index", "targets", "targets_outside_catalogue", "test", "paired", "paired_unmasked", "left_out", "degraded",
}  # fmt: skip
"""Keys that others read: they stay."""
ADDED = {
    "command", "counts", "bundle_created", "bundle_items", "recipe", "lists", "lists_paired", "lists_left_out",
    "calibrated_by", "segments", "items_by_band", "heads", "behaviour", "served",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tiny_bundles: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The tiny bundle evaluated once, and its page."""
    page = tmp_path_factory.mktemp("report") / "tiny.html"
    data, bundles = tiny_bundles
    asked = ["--data", data, "--bundles", bundles, "--protocol", "time-split", "--max-targets", "200", "--report", page]
    assert main([str(a) for a in asked]) == 0
    return json.loads(page.with_suffix(".json").read_text(), parse_constant=refuse), page


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


class Checked(HTMLParser):
    """Every element is closed where it should be; what it refers to is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_json_has_every_key_it_had_and_the_new_ones(run: tuple[dict[str, Any], Path]) -> None:
    result, _ = run
    assert set(result) == SINCE_THE_FIRST | ADDED
    systems = {s for s, found in result["test"]["masked"].items() if found}
    assert set(result["lists"]["masked"]) == systems
    assert result["calibrated_by"] == "genres"
    for segments in result["segments"].values():
        assert sum(part["targets"] for part in segments.values()) == result["targets"]
    assert sum(result["items_by_band"].values()) == result["bundle_items"]
    assert result["behaviour"]["impressions"] > 0
    assert result["served"] is None


def test_the_page_is_one_whole_file_that_fetches_nothing(run: tuple[dict[str, Any], Path]) -> None:
    result, path = run
    text = path.read_text()
    page = Checked()
    page.feed(text)
    assert page.open == []
    assert [link for link in page.links if not link.startswith("#")] == []
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"<script|@import|url\((?!#)", text)
    assert text.count("<svg") >= 6
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", text.lower())
    for said in (
        result["bundle"],
        result["targets_sha256"],
        "--max-targets 200",
        f"{result['test']['masked']['ranked']['hr@10']:.4f}",
    ):
        assert said in text


def test_equal_results_give_equal_pages_and_names_are_no_markup(run: tuple[dict[str, Any], Path]) -> None:
    result, path = run
    assert page_of(result) == path.read_text()
    assert "<b>bold" not in page_of({**result, "dataset": "<b>bold"})


def test_a_page_says_why_a_number_is_missing(run: tuple[dict[str, Any], Path]) -> None:
    result, _ = run
    left = {"genre_kl@10": "no attribute 'colour'"}
    bare = {s: {**found, "genre_kl@10": None} for s, found in result["lists"]["masked"].items()}
    nothing = dict.fromkeys(result["behaviour"], None) | {
        "of": "log", "events": 0, "users": 0, "impressions": 0, "left_out": {"ctr": "there are no events"},
    }  # fmt: skip
    changed = {
        "lists": {"masked": bare, "unmasked": bare}, "lists_left_out": left, "paired": {}, "lists_paired": {},
        "served": nothing, "heads": {"slates": 0, "tasks": {}, "left_out": {"click": "no slates"}},
    }  # fmt: skip
    text = page_of({**result, **changed})
    for reason in (
        "no attribute &#x27;colour&#x27;",
        "left out: ctr: there are no events",
        "left out: click: no slates",
    ):
        assert reason in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--log", "somewhere"], "--log needs --exposures"),
        (["--exposures", "somewhere"], "--exposures needs --log"),
        (["--report", "."], "--report . is a folder"),
        (["--report", "nowhere/page.html"], "there is no folder nowhere"),
        (["--report", "page.json"], "--report page.json: name it .html"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_measured(
    options: list[str], said: str, tiny_bundles: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data, bundles = tiny_bundles
    asked = ["--data", str(data), "--bundles", str(bundles), "--protocol", "time-split", *options]
    assert main(asked) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")


def test_an_attribute_that_is_not_there_is_a_reason_and_no_failure(
    tiny_bundles: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data, bundles = tiny_bundles
    asked = ["--data", str(data), "--bundles", str(bundles), "--protocol", "time-split", "--max-targets", "20"]
    assert main([*asked, "--max-slates", "5", "--calibrate-by", "colour"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["lists"]["masked"]["ranked"]["genre_kl@10"] is None
    assert "'colour'; the bundle has maker, genres" in result["lists_left_out"]["genre_kl@10"]
