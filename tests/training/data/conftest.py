"""A folder described by dataset.toml, written by the test."""

from pathlib import Path

import pytest
from described_shop import Shop

from training.data.dataset import Dataset
from training.data.read import read_dataset


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Writes files by name (text or bytes; "/" in a name is "_") and reads the folder."""

    def read(toml: str, **files: str | bytes) -> Dataset:
        (tmp_path / "dataset.toml").write_text(toml, encoding="utf-8")
        for name, content in files.items():
            path = tmp_path / name.replace("__", ".")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_dataset(tmp_path)

    return read
