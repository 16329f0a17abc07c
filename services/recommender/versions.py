"""Which bundle answers: the newest that the front door and every leaf hold."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from penchant.errors import PenchantError, UnknownBundle
from services.runtime.logs import logger

_log = logger("versions")

LeafVersions = Callable[[], Awaitable[tuple[str, ...]]]
"""A leaf's bundles, newest first. Raises PenchantError when it cannot be asked."""


@dataclass(slots=True)
class BundleChoice:
    """Asks every leaf again each poll_s. A leaf that does not answer is left out: its stage degrades by itself."""

    own: Callable[[], tuple[str, ...]]
    leaves: Mapping[str, LeafVersions] = field(default_factory=dict)
    poll_s: float = 1.0
    held: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    def versions(self) -> tuple[str, ...]:
        """Bundles to try, the best first. Raises UnknownBundle before the first bundle is here."""
        own = self.own()
        if not own:
            raise UnknownBundle("no bundle is loaded here: publish one with `python -m training fit`")
        shared = tuple(v for v in own if all(v in versions for versions in self.held.values()))
        return shared or own

    async def poll(self) -> None:
        """Ask every leaf once."""
        names = list(self.leaves)
        answers = await asyncio.gather(*(self.leaves[name]() for name in names), return_exceptions=True)
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, tuple):
                self.held[name] = answer
                continue
            if not isinstance(answer, PenchantError | OSError | TimeoutError):
                _log.error("asking a leaf for its bundles failed", leaf=name, exc_info=answer)
            self.held.pop(name, None)

    async def start(self) -> None:
        """Ask once, then go on asking."""
        await self.poll()
        if self.leaves:
            self._task = asyncio.get_running_loop().create_task(self._poll_on())

    async def _poll_on(self) -> None:
        while True:
            await asyncio.sleep(self.poll_s)
            await self.poll()

    async def stop(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
