"""How far a training is: bars on a terminal, else a plain line now and then."""

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

Tell = Callable[[str, float], None]
"""Told a step's name and the share of it that is done."""

LINE_EVERY_S = 15.0


class Shown(ABC):
    """What to tell: a step's name and the share of it that is done; its loss is a note of its own."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began: dict[str, tuple[float, float]] = {}
        self._losses: dict[str, float] = {}

    def __call__(self, step: str, done: float) -> None:
        """Show it."""
        self._began.setdefault(step, (self._clock(), done))
        self.show(step, done)

    def note(self, step: str, loss: float) -> None:
        """Say the loss from now on beside the step."""
        self._losses[step] = loss

    @abstractmethod
    def show(self, step: str, done: float) -> None:
        """As the terminal allows."""

    def beside(self, step: str, done: float) -> str:
        """Loss and time left, as far as they are known."""
        said = [f"loss {self._losses[step]:.4f}"] if step in self._losses else []
        began_at, began = self._began[step]
        if began < done < 1.0:
            left_s = (self._clock() - began_at) * (1.0 - done) / (done - began)
            said.append(f"{_duration(left_s)} left")
        return ", ".join(said)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


@contextlib.contextmanager
def shown(console: Console, clock: Callable[[], float] = time.monotonic) -> Iterator[Shown]:
    """What to tell inside the block."""
    if not console.is_terminal:
        yield _Lines(console, clock)
        return
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[beside]}")
    with Progress(*columns, console=console) as bars:
        yield _Bars(bars, clock)


class _Bars(Shown):
    def __init__(self, bars: Progress, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._bars = bars
        self._by_step: dict[str, TaskID] = {}

    def show(self, step: str, done: float) -> None:
        if step not in self._by_step:
            self._by_step[step] = self._bars.add_task(step, total=1.0, beside="")
        self._bars.update(self._by_step[step], completed=done, beside=self.beside(step, done))


class _Lines(Shown):
    """The first and the last of every step, and in between one in LINE_EVERY_S at most."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._console = console
        self._said_at: dict[str, float] = {}
        self._finished: set[str] = set()

    def show(self, step: str, done: float) -> None:
        now = self._clock()
        ends = done >= 1.0 and step not in self._finished
        due = step not in self._said_at or now - self._said_at[step] >= LINE_EVERY_S
        if step in self._finished or not (ends or due):
            return
        self._said_at[step] = now
        if ends:
            self._finished.add(step)
        beside = self.beside(step, done)
        line = f"{step}: {100 * min(done, 1.0):.0f} %{f' ({beside})' if beside else ''}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
