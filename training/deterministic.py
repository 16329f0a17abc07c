"""Equal data and seeds train equal models, on however many threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic(warn_only: bool = False) -> Iterator[None]:
    """Gradients of rows read more than once add up in one order inside; on several threads last bits would differ.

    warn_only: an operation that has no such order is named and run.
    """
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
