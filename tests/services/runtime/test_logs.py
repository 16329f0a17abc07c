"""Log lines for machines: one JSON object each, at the level asked for."""

import json
from collections.abc import Iterator

import pytest
import structlog

from services.runtime.logs import configure, logger


@pytest.fixture(autouse=True)
def defaults_afterwards() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_lines_are_json_with_their_part_and_nothing_below_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure("warning", "json")
    log = logger("door")
    log.info("not this")
    log.warning("call failed", method="/a/B")
    try:
        raise RuntimeError("inside")
    except RuntimeError as error:
        log.error("bug", exc_info=error)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["call failed", "bug"]
    assert lines[0]["part"] == "door"
    assert lines[0]["level"] == "warning"
    assert lines[0]["method"] == "/a/B"
    assert lines[0]["timestamp"].endswith("Z")
    assert "RuntimeError: inside" in lines[1]["exception"]
