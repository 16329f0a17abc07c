"""docs/client.md: its examples and its commands run as they stand, against the tiny bundle."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.cli import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "client.md").read_text()


@pytest.fixture(scope="module")
def stack(start_stack: Any, new_redis: Callable[[], str]) -> Any:
    """One standalone stack for the module."""
    return start_stack("standalone", new_redis())


def run(example: str, address: str) -> dict[str, Any]:
    """What an example of the page leaves behind."""
    there = example.replace("127.0.0.1:50051", address).replace("deadline_s=1.0", "deadline_s=20.0")
    assert there.count(address) == 1
    values: dict[str, Any] = {}
    exec(compile(there, "docs/client.md", "exec"), values)
    return values


def test_the_examples_run(stack: Any, capsys: Any) -> None:
    asking, streaming, writing = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    values = run(asking.replace('"genres", ("Drama",)', '"genre", ("drama",)'), stack.address)
    assert values["written"].accepted == 1
    assert values["again"].token_satisfied
    assert values["first"].item_id not in {item.item_id for item in values["again"].items}
    assert run(streaming, stack.address)["written"].accepted == 1
    assert len(capsys.readouterr().out.splitlines()) == 100
    values = run(writing, stack.address)
    assert (values["items"].accepted, values["users"].accepted) == (3, 1)
    assert values["items"].position > 0
    assert capsys.readouterr().out == ""


def test_the_commands_answer_as_the_page_says(stack: Any, capsys: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (file,) = re.findall(r"\$ cat events.jsonl\n(.*?)\n\n", PAGE, re.DOTALL)
    Path("events.jsonl").write_text(file)
    # The tiny bundle knows the attribute that the page's does not.
    page = PAGE.replace("--filter genre=Drama\n", "--filter kind=Drama\n")
    commands = [shlex.split(line) for line in re.findall(r"^\$ penchant (.*)", page, re.MULTILINE)]
    assert [command[0] for command in commands] == ["send", "recommend", "recommend"]
    answers = []
    for command in commands:
        status = main([*command, "--address", stack.address, "--deadline", "20"])
        told = capsys.readouterr()
        answers.append((status, told.out + told.err))
    (sent, said), (asked, slate), (refused, why) = answers
    assert (sent, asked, refused) == (1, 0, 1)
    assert "accepted 2, rejected 1, token" in said
    assert "'teleport' is unknown: one of view, click, like, purchase, rating" in said
    assert "events applied through" in slate
    assert "filter.conditions[0].attribute: unknown attribute 'kind'; known are: " in why
