"""The walks data set, and bundles of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_bundle import generated, write_bundle

from training.data.dataset import Dataset
from training.data.split import split


@pytest.fixture(scope="session")
def walks() -> Dataset:
    """The generated data set of most tests here."""
    return generated()


@pytest.fixture
def published_bundle(walks: Dataset, tmp_path: Path) -> Callable[[str], Path]:
    """Publishes a bundle of the walks under a protocol and gives the folder of bundles."""

    def build(protocol: str) -> Path:
        write_bundle(walks, split(walks, protocol), tmp_path / "bundles")
        return tmp_path / "bundles"

    return build
