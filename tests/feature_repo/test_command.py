"""The command itself: where it finds the store, and what it says when there is none."""

import pytest

from feature_repo.__main__ import REDIS_VARIABLE, _parser


@pytest.mark.parametrize("step", ["apply", "materialize"])
def test_the_store_is_named_by_the_services_variable(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REDIS_VARIABLE, "redis://:secret@127.0.0.1:7000/0")
    assert _parser().parse_args([step, "--offline", "x"]).redis == "redis://:secret@127.0.0.1:7000/0"
    assert _parser().parse_args([step, "--offline", "x", "--redis", "redis://other"]).redis == "redis://other"
