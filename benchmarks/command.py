"""One benchmark from its options to its report."""

import argparse
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import uvloop

from benchmarks.report import finish
from benchmarks.stand import Stand, say, stand
from penchant.errors import PenchantError


def run(
    name: str,
    options: argparse.Namespace,
    measure: Callable[[Stand, argparse.Namespace], Coroutine[Any, Any, dict[str, Any]]],
    rows: Callable[[dict[str, Any]], Sequence[tuple[str, Any, str]]],
) -> int:
    """Start a stack, measure, report; 0, or 1 with a sentence."""
    try:
        with stand(options) as running:
            found = uvloop.run(measure(running, options))
            finish(name, running.out, found, rows(found))
    except PenchantError as error:
        say(f"error: {error}")
        return 1
    return 0
