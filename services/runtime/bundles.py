"""The bundles a process answers from: it watches the pointer, checks, loads, and keeps the last two."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from penchant.bundle import MANIFEST, POINTER, Manifest, current, verify
from penchant.errors import BundleError, BundleMismatch, UnknownBundle
from services.runtime.logs import logger

_log = logger("bundles")
KEPT = 2
_RETRY_S = 30.0
"""A bundle that failed for a reason outside it (memory, disk) is tried again after this long."""

T = TypeVar("T")


class BundleHolder(Generic[T]):
    """Holds what `load` makes of the published bundle and of the one before it.

    A bundle that is refused is named in `refused`, with the remedy, and the one in use goes on serving. Moving the
    pointer back to a bundle that is still held takes effect at once.
    """

    def __init__(self, bundles: Path, load: Callable[[Path, Manifest], T], poll_s: float = 1.0) -> None:
        self.refused = ""
        self._bundles = bundles
        self._load = load
        self._poll_s = poll_s
        self._held: dict[str, T] = {}
        """Newest last."""
        self._tried: tuple[object, ...] | None = None
        self._retry_at = float("inf")
        self._watching: asyncio.Task[None] | None = None

    @property
    def versions(self) -> tuple[str, ...]:
        """Versions ready to answer, the published one first."""
        return tuple(reversed(self._held))

    @property
    def newest(self) -> T:
        """The published bundle. Raises UnknownBundle before the first."""
        if not self._held:
            raise UnknownBundle(
                self.refused or f"{self._bundles} has no published bundle: run `python -m training fit`"
            )
        return self._held[next(reversed(self._held))]

    def get(self, version: str) -> T:
        """The bundle of a version. Raises UnknownBundle."""
        held = self._held.get(version)
        if held is None:
            raise UnknownBundle(f"bundle {version!r} is not held here; held are: {', '.join(self.versions) or 'none'}")
        return held

    async def start(self) -> None:
        """Load the published bundle, if there is one, and watch the pointer from then on."""
        await self.refresh()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Watch no longer."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def refresh(self) -> None:
        """Look at the pointer now; what it names is loaded in a thread, so calls go on being answered."""
        try:
            stamp = self._stamp()
            if stamp is None or (stamp == self._tried and time.monotonic() < self._retry_at):
                return
            folder = current(self._bundles)
        except OSError as error:
            self._refuse(f"{self._bundles / POINTER} cannot be read ({error})")
            return
        except BundleMismatch as error:
            self._tried = None
            self._refuse(str(error))
            return
        assert folder is not None
        self._tried, self._retry_at = stamp, float("inf")
        if folder.name in self._held:
            self._use(folder.name, self._held.pop(folder.name))
            return
        try:
            self._use(folder.name, await asyncio.to_thread(self._checked, folder))
        except BundleError as error:
            self._refuse(str(error))
        except Exception as error:
            self._retry_at = time.monotonic() + _RETRY_S
            self._refuse(f"bundle {folder.name} cannot be loaded ({type(error).__name__}: {error})")

    def _checked(self, folder: Path) -> T:
        manifest = verify(folder)
        if manifest.version != folder.name:
            raise BundleMismatch(f"{folder} holds bundle {manifest.version!r}: name the folder as its bundle")
        return self._load(folder, manifest)

    def _use(self, version: str, loaded: T) -> None:
        self._held[version] = loaded
        for old in list(self._held)[:-KEPT]:
            del self._held[old]
        self.refused = ""
        _log.info("bundle in use", bundle=version, held=self.versions)

    def _refuse(self, reason: str) -> None:
        if reason != self.refused:
            _log.error("bundle refused", reason=reason, in_use=self.versions[:1])
        self.refused = reason

    def _stamp(self) -> tuple[object, ...] | None:
        """Changes when the pointer or the manifest it leads to is written; None without a pointer."""
        folder = current(self._bundles)
        if folder is None:
            return None
        manifest = folder / MANIFEST
        written = manifest.stat().st_mtime_ns if manifest.exists() else 0
        return folder.name, (self._bundles / POINTER).stat().st_mtime_ns, written

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await self.refresh()
