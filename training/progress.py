"""How far a training is: bars on a terminal, else a plain line now and then."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

Tell = Callable[[str, float], None]
"""Told a step's name and the share of it that is done."""

LINE_EVERY_S = 15.0


@contextlib.contextmanager
def shown(console: Console, clock: Callable[[], float] = time.monotonic) -> Iterator[Tell]:
    """What to tell inside the block."""
    if not console.is_terminal:
        yield _lines(console, clock)
        return
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console) as bars:
        yield _bars(bars)


def _bars(bars: Progress) -> Tell:
    by_step: dict[str, TaskID] = {}

    def tell(step: str, done: float) -> None:
        if step not in by_step:
            by_step[step] = bars.add_task(step, total=1.0)
        bars.update(by_step[step], completed=done)

    return tell


def _lines(console: Console, clock: Callable[[], float]) -> Tell:
    """The first and the last of every step, and in between one in LINE_EVERY_S at most."""
    said_at: dict[str, float] = {}
    finished: set[str] = set()

    def tell(step: str, done: float) -> None:
        now = clock()
        ends = done >= 1.0 and step not in finished
        if step in finished or not (ends or step not in said_at or now - said_at[step] >= LINE_EVERY_S):
            return
        said_at[step] = now
        if ends:
            finished.add(step)
        console.print(f"{step}: {100 * min(done, 1.0):.0f} %", highlight=False, markup=False, soft_wrap=True)

    return tell
