"""A digest of values: equal for equal contents, whatever process computes it."""

import hashlib
import platform
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import penchant

_CODE = (Path(__file__).parent, Path(penchant.__file__).parent)


def fingerprint(*values: object) -> str:
    """16 hex digits of dataclasses, arrays, dicts, sequences, strings and numbers, and of the code that trains."""
    digest = hashlib.sha256()
    for value in (*values, _code()):
        _feed(digest, value)
    return digest.hexdigest()[:16]


def _code() -> list[str]:
    """Versions and sources: after a change of either a training would not go on as it began."""
    sources = (path for folder in _CODE for path in sorted(folder.rglob("*.py")))
    return [platform.python_version(), torch.__version__, np.__version__, *(path.read_text() for path in sources)]


def _feed(digest: Any, value: object) -> None:
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif isinstance(value, dict):
        digest.update(f"dict {len(value)}".encode())
        for key, held in value.items():
            _feed(digest, key)
            _feed(digest, held)
    elif isinstance(value, list | tuple | np.ndarray):
        digest.update(f"{len(value)} of ".encode())
        for held in value:
            _feed(digest, held)
    else:
        text = repr(value).encode()
        digest.update(f"{len(text)}:".encode())
        digest.update(text)
