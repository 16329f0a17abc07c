"""Event files: every form they come in, and a sentence with line and field for each that cannot be sent."""

import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import DataError
from penchant.event_file import opened, read_events
from penchant.writes import EventWrite

CLICK = EventWrite(event_type="click", user_id="ann", item_id="a")
LINE = '{"event_type": "click", "user_id": "ann", "item_id": "a"}'
TABLE = "user_id,item_id,event_type\nann,a,click\n"


def read(file: Path, form: str = "auto") -> list[EventWrite]:
    return list(read_events(file, file.name, form))


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("e.jsonl", LINE, "auto"),
        ("e.txt", f"\n \n{LINE}\n", "auto"),
        ("e.json", f"[{LINE}]", "auto"),
        ("e.json", f" [\n{LINE}\n]\n ", "auto"),
        ("e", f"[{LINE}]", "jsonl"),
        ("e.csv", TABLE, "auto"),
        ("e.tsv", TABLE.replace(",", "\t"), "auto"),
        ("e.txt", TABLE.replace(",", ";"), "auto"),
        ("e.jsonl", TABLE, "csv"),
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_each_form_is_read_with_and_without_a_byte_order_mark(
    tmp_path: Path, name: str, text: str, form: str, mark: str
) -> None:
    file = tmp_path / name
    file.write_text(mark + text, encoding="utf-8")
    assert read(file, form) == [CLICK]


@pytest.mark.parametrize("text", ["", "\n\n", "[]", " [ ] ", "user_id,event_type\n"])
def test_a_file_without_events_has_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "e").write_text(text)
    assert read(tmp_path / "e") == []


@pytest.mark.parametrize(
    ("name", "text", "line", "field", "said"),
    [
        ("e", LINE + '\n{"event_type": "click", "position": -1}', 2, "position", "from 0 to 4294967295"),
        ("e", '{"event_type": "click", "position": 3000000000000}', 1, "position", "from 0 to 4294967295"),
        ("e", '{"event_type": "click", "position": 1.5}', 1, "position", "whole number"),
        ("e", '{"event_type": "click", "position": true}', 1, "position", "whole number"),
        ("e", '{"event_type": "click", "value": true}', 1, "value", "number"),
        ("e", '{"event_type": "click", "event_time": true}', 1, "event_time", "ISO 8601"),
        ("e", '{"event_type": "click", "value": %s}' % ("9" * 5000), 1, None, "no JSON object"),
        ("e", '{"event_type": "click", "user_id": "\\ud800"}', 1, "user_id", "UTF-8"),
        ("e", '{"event_type": "click", "context": {"a": "\\ud800"}}', 1, "context['a']", "UTF-8"),
        ("e", LINE + "\n" + "[" * 5000 + "]" * 5000, 2, None, "too deep"),
        ("e", LINE + '\n{"event_type": ' + "[" * 900 + "]" * 900 + "}", 2, "event_type", "text"),
        ("e", "[" * 5000 + "]" * 5000, 1, None, "too deep"),
        ("e", f"[{LINE},\n{LINE},\n7]", 3, None, "no JSON object"),
        ("e", f'[{LINE},\n\n{{"event_type": "click", "position": -1}}]', 3, "position", "from 0"),
        ("e", f"[{LINE}", 1, None, "array"),
        ("e", f"[{LINE} {LINE}]", 1, None, "array"),
        ("e", f"[{LINE}]\n{LINE}", 2, None, "array"),
        ("e.csv", f"[{LINE}]", 1, '[{"event_type": "click"', "unknown field"),
        ("e", "item_id,event_type\na,click\n", 1, None, "user_id, anonymous_id or device_id"),
        ("e", "user_id,item_id\nann,a\n", 1, "event_type", "header"),
        ("e", "ann,a,click\n", 1, "ann", "unknown field"),
        ("e", "user_id,user_id,event_type\nann,ann,click\n", 1, "user_id", "twice"),
        ("e", "user_id,event_type,position\nann,click,-1\n", 2, "position", "from 0"),
        ("e", "user_id,event_type,context\nann,click," + "[" * 5000 + "\n", 2, "context", "too deep"),
        ("e", "user_id,event_type,context\nann,click,[]\n", 2, "context", "JSON object"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_named_by_line_and_field(
    tmp_path: Path, name: str, text: str, line: int, field: str | None, said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path / name)
    assert (caught.value.line, caught.value.column) == (line, field)
    assert len(str(caught.value)) < 500


def test_stdin_and_pipes_can_be_read_twice(tmp_path: Path, monkeypatch: Any) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_text, args=(TABLE,))
    writing.start()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf" + TABLE.encode())))
    for file, name in ((str(pipe), str(pipe)), ("-", "stdin")):
        with opened(file) as (path, called):
            assert called == name
            for _ in range(2):
                assert list(read_events(path, called)) == [CLICK]
    writing.join()
    assert list(tmp_path.iterdir()) == [pipe]


def test_stdin_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(TABLE))
    with pytest.raises(DataError, match=r"stdin.*at most 10 bytes"), opened("-", most=10):
        pass
