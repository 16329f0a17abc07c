"""The exposure log that settings name."""

from pathlib import Path

import pytest

from penchant.errors import ConfigError, LogError
from services.recommender.assembly import open_exposures
from services.recommender.config import FrontDoorSettings


def test_an_empty_name_means_no_exposure_log() -> None:
    assert open_exposures(FrontDoorSettings(exposures="")) is None


async def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    settings = FrontDoorSettings(exposures=tmp_path / "exposures")
    log = open_exposures(settings)
    assert log is not None
    with pytest.raises(LogError, match="held by another"):
        open_exposures(settings)
    await log.close()


def test_a_folder_that_cannot_be_made_is_a_bad_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="name another"):
        open_exposures(FrontDoorSettings(exposures=tmp_path / "file" / "exposures"))
