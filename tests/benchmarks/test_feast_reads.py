"""A short form of the comparison with Feast: all three ways read what was written; times are only shown."""

from pathlib import Path

import pytest

from benchmarks import feast_reads

pytest.importorskip("feast")


def test_the_sdk_our_store_and_grpc_read_the_same_and_are_timed_side_by_side(tmp_path: Path) -> None:
    options = feast_reads.options_of(
        ["--run", str(tmp_path), "--items", "60", "--sdk-rows", "60", "--read", "20", "--rounds", "3"]
    )
    found = feast_reads.compared(options)
    assert feast_reads.rows(found)
    for view in feast_reads.VIEWS:
        assert found[view]["sdk_ms"]["count"] == found[view]["grpc_ms"]["count"] == 3
        assert found[view]["sdk_to_in_process"] > 0
        assert found["rows_per_s"][view]["ours"] > 0
