"""docs/client.md: its example runs as it stands, against the tiny bundle."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "client.md"


def test_the_example_runs(start_stack: Any, new_redis: Callable[[], str]) -> None:
    stack = start_stack("standalone", new_redis())
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    there = example.replace("127.0.0.1:50051", stack.address).replace('"genres", ("Drama",)', '"genre", ("drama",)')
    there = there.replace("deadline_s=1.0", "deadline_s=20.0")
    assert there.count(stack.address) == 1
    values: dict[str, Any] = {}
    exec(compile(there, str(PAGE), "exec"), values)
    assert values["written"].accepted == 1
    assert values["again"].token_satisfied
    assert values["first"].item_id not in {item.item_id for item in values["again"].items}
