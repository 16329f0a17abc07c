"""python -m training."""

import pytest

from training.__main__ import COMMANDS, main


def test_without_a_sub_command_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    listed = capsys.readouterr().err
    assert all(name in listed for name in COMMANDS)
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == listed


def test_an_unknown_sub_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fitt"]) == 2
    assert "'fitt'" in capsys.readouterr().err
