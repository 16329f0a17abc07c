"""One small published bundle, and copies of it to publish or to damage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_bundle import generated, write_bundle

from penchant.bundle import MANIFEST, file_checksums, publish
from training.data.split import split

VERSION = "walks-1"


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of bundles with one published; not to be written to."""
    bundles = tmp_path_factory.mktemp("pristine")
    dataset = generated()
    write_bundle(dataset, split(dataset, "time-split"), bundles)
    return bundles


@pytest.fixture
def bundles(pristine: Path, tmp_path: Path) -> Path:
    """A folder of bundles of the test's own, walks-1 published."""
    return Path(shutil.copytree(pristine, tmp_path / "bundles"))


Copy = Callable[..., Path]


@pytest.fixture
def copy(bundles: Path) -> Copy:
    """Copies walks-1 under another version, lets the test change it, seals it with right checksums and publishes it."""

    def make(version: str, change: Callable[[Path, dict[str, Any]], None] = lambda folder, manifest: None) -> Path:
        folder = bundles / version
        shutil.copytree(bundles / VERSION, folder)
        manifest = json.loads((folder / MANIFEST).read_text())
        manifest["version"] = version
        change(folder, manifest)
        manifest["files"] = file_checksums(folder)
        (folder / MANIFEST).write_text(json.dumps(manifest))
        publish(bundles, version)
        return folder

    return make
