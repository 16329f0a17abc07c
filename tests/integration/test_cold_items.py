"""Items that no training has seen, written to a running front door: its slates are those that are measured offline."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.content.cold import BUNDLES, main


def test_cold_items_are_served_as_they_are_measured(
    start_stack: Any,
    new_redis: Callable[[], str],
    tiny_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["--data", str(tiny_data), "--recipe", "tiny", "--share", "0.2", "--out", str(tmp_path), "--threads", "1"]
    asked += ["--max-targets", "60"]
    assert main(asked) == 0
    fitted = json.loads(capsys.readouterr().out.splitlines()[-1])
    for found in fitted["as_served"].values():
        assert found["cold_targets"] > 20
        assert found["warm_hr@10"] > 0
        assert found["cold_hr@10_interval"][0] <= found["cold_hr@10"] <= found["cold_hr@10_interval"][1]
    stack = start_stack("standalone", new_redis(), tmp_path / BUNDLES)
    assert main([*asked, "--through", stack.address]) == 0
    served = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert served["equal_to_offline"]["retrieval"] == 1.0
    assert served["equal_to_offline"]["ranked"] > 0.98
    assert served["as_served"]["retrieval"] == fitted["as_served"]["retrieval"]
    assert served["as_served"]["ranked"]["cold_items_shown"] > 0
    # What was written for the measurement is gone again.
    slate = stack.client().recommend_items(1000, user_id="nobody")
    assert len(slate.items) == fitted["warm_items"]
    assert main([*asked, "--seed", "3", "--through", stack.address]) == 2
    assert "knows items that are to be cold" in capsys.readouterr().err
