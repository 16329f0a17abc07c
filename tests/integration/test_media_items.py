"""An item that is a picture and nothing else, written to a running front door, stands with those that look like it."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from media_files import sound_file
from PIL import Image

from penchant.writes import EventWrite, ItemWrite
from training.data.read import read_dataset
from training.fit import fit
from training.recipes import resolve

KINDS = 3
PER_KIND = 20


def looks(kind: int, rng: np.random.Generator) -> bytes:
    """A PNG in the colour of a kind, in noise."""
    pixels = np.full((20, 30, 3), 60.0)
    pixels[..., kind] = 190
    file = io.BytesIO()
    Image.fromarray((pixels + rng.normal(0, 25, pixels.shape)).clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People stay with pictures of one colour; nothing else is known of them. One picture is missing, one broken."""
    folder = tmp_path_factory.mktemp("gallery")
    rng = np.random.default_rng(0)
    (folder / "dataset.toml").write_text(
        '[events]\nfiles = ["e.csv"]\nuser = "u"\nitem = "i"\ntime = "t"\n'
        '[items]\nfiles = ["m.csv"]\nid = "i"\nimage = ["cover"]\naudio = ["jingle"]\n'
    )
    items = [f"k{kind}-{n}" for kind in range(KINDS) for n in range(PER_KIND)]
    for id_ in items:
        (folder / f"{id_}.png").write_bytes(looks(int(id_[1]), rng))
    (folder / "k0-0.png").write_bytes(b"broken")
    (folder / "k0-1.png").unlink()
    sounds = ["bell.wav" if n == 0 else None for n in range(len(items))]
    (folder / "bell.wav").write_bytes(sound_file(440))
    pl.DataFrame({"i": items, "cover": [f"{i}.png" for i in items], "jingle": sounds}).write_csv(folder / "m.csv")
    acts = [
        (f"u{user}", f"k{user % KINDS}-{n}", 1_700_000_000 + 90 * step + user)
        for user in range(60) for step, n in enumerate(rng.permutation(PER_KIND)[:14])
    ]  # fmt: skip
    pl.DataFrame(acts, schema=["u", "i", "t"], orient="row").write_csv(folder / "e.csv")
    return folder


def test_a_picture_alone_makes_a_new_item_retrievable_at_once(
    start_stack: Any,
    new_redis: Callable[[], str],
    gallery: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    dataset = read_dataset(gallery)
    fit(dataset, resolve("tiny", dataset), tmp_path, 0, "leave-one-out")
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "k0-1: k0-1.png is not there" in said
    assert "k0-0.png is no picture that can be read" in said
    stack = start_stack("standalone", new_redis(), tmp_path)
    client = stack.client()
    rng = np.random.default_rng(7)
    new = {f"new-{kind}-{n}": looks(kind, rng) for kind in range(KINDS) for n in range(2)}
    writes = [ItemWrite(item_id=id_, attributes={"cover": file}) for id_, file in new.items()]
    writes.append(ItemWrite(item_id="torn", attributes={"cover": new["new-0-0"][:50]}))
    began = time.monotonic()
    written = client.write_items(writes)
    assert [(r.index, r.field) for r in written.rejections] == [(6, "attributes['cover']")]
    while client.status().item_table_position < written.position:
        time.sleep(0.02)
    # A second on a quiet machine; others may be at work on this one.
    assert time.monotonic() - began < 10.0
    for kind in range(KINDS):
        clicks = [EventWrite(event_type="click", user_id=f"new {kind}", item_id=f"k{kind}-{n}") for n in range(5, 12)]
        token = client.write_events(clicks).position
        slate = client.recommend_items(1000, user_id=f"new {kind}", ranking="retrieval", token=token)
        found = [item.item_id for item in slate.items if item.item_id in new]
        assert len(found) == len(new)
        assert {id_[:5] for id_ in found[:2]} == {f"new-{kind}"}
