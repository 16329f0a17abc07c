"""Attributes of items and users that grow with what is written of them."""

from collections.abc import Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.media import PICTURE, is_packed, unpacked
from training.data.dataset import Attributes


def extended(base: Attributes, count: int, rows: dict[int, dict[str, Any]]) -> Attributes:
    """The base's columns over `count` entities, with what was written of some of them since, whole, by place.

    A name that the base does not have becomes multi for a list, numeric for a number, image or audio for a file and
    categorical for another text.
    """
    lists = {name for row in rows.values() for name, value in row.items() if isinstance(value, list)}
    numbers = {name for row in rows.values() for name, value in row.items() if isinstance(value, float)}
    files = {n: v for row in rows.values() for n, v in row.items() if isinstance(v, str) and is_packed(v)}
    texts = {name for row in rows.values() for name, value in row.items() if isinstance(value, str)} - files.keys()
    known = {*base.categorical, *base.multi, *base.numeric, *base.text, *base.image, *base.audio}
    result = Attributes(
        categorical={n: _texts(v, n, count, rows) for n, v in _columns(base.categorical, texts - known - lists)},
        multi={n: _lists(v, n, count, rows) for n, v in _columns(base.multi, lists - known)},
        numeric={
            n: _numbers(base.numeric.get(n), n, count, rows)
            for n in (*base.numeric, *sorted(numbers - known - lists - texts))
        },
        text={n: _texts(v, n, count, rows) for n, v in base.text.items()},
    )
    new = {name: value for name, value in files.items() if name not in known | texts | lists}
    pictures = {name for name, value in new.items() if unpacked(value, PICTURE) is not None}
    for n, v in _columns(base.image, pictures):
        result.image[n] = _files(v, n, count, rows)
    for n, v in _columns(base.audio, new.keys() - pictures):
        result.audio[n] = _files(v, n, count, rows)
    return result


def _columns(base: dict[str, Any], new: Set[str]) -> list[tuple[str, list[Any]]]:
    return [*base.items(), *((name, []) for name in sorted(new))]


def _texts(values: list[str], name: str, count: int, rows: dict[int, dict[str, Any]]) -> list[str]:
    column = [*values, *([""] * (count - len(values)))]
    for place, row in rows.items():
        value = row.get(name, "")
        column[place] = (
            "|".join(value) if isinstance(value, list) else value if isinstance(value, str) else f"{value:g}"
        )
    return column


def _files(values: list[str], name: str, count: int, rows: dict[int, dict[str, Any]]) -> list[str]:
    """Paths of the base, and what was written; a text that is no file of theirs is none."""
    column = [*values, *([""] * (count - len(values)))]
    for place, row in rows.items():
        value = row.get(name, "")
        column[place] = value if isinstance(value, str) and is_packed(value) else ""
    return column


def _lists(
    values: list[tuple[str, ...]], name: str, count: int, rows: dict[int, dict[str, Any]]
) -> list[tuple[str, ...]]:
    column = [*values, *([()] * (count - len(values)))]
    for place, row in rows.items():
        value = row.get(name, [])
        column[place] = tuple(value) if isinstance(value, list) else (value,) if isinstance(value, str) else ()
    return column


def _numbers(
    values: NDArray[np.float32] | None, name: str, count: int, rows: dict[int, dict[str, Any]]
) -> NDArray[np.float32]:
    column = np.full(count, np.nan, np.float32)
    if values is not None:
        column[: len(values)] = values
    for place, row in rows.items():
        value = row.get(name)
        column[place] = value if isinstance(value, float) else np.nan
    return column


def plain(attributes: Attributes) -> dict[str, Any]:
    """As plain JSON."""
    numeric = {name: [None if np.isnan(v) else float(v) for v in column] for name, column in attributes.numeric.items()}
    return {
        "categorical": attributes.categorical, "multi": attributes.multi, "numeric": numeric, "text": attributes.text,
        "image": attributes.image, "audio": attributes.audio,
    }  # fmt: skip


def attributes(raw: dict[str, Any]) -> Attributes:
    """Back from plain()."""
    numeric = {
        name: np.array([np.nan if v is None else v for v in column], np.float32)
        for name, column in raw["numeric"].items()
    }
    multi = {name: [tuple(tags) for tags in column] for name, column in raw["multi"].items()}
    return Attributes(raw["categorical"], multi, numeric, raw["text"], raw["image"], raw["audio"])
