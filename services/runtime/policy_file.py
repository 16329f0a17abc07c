"""The policy in force: read at start, read again when its file changes, and kept when the new text is bad."""

from collections.abc import Callable
from pathlib import Path

from penchant.errors import ConfigError
from penchant.policy import Policy, check_succession, read_policy
from services.runtime.logs import logger

_log = logger("policy")
_LOOK_EVERY_S = 1.0
DEFAULT_POLICY = Path(__file__).with_name("policy.toml")


class PolicyFile:
    """Raises ConfigError at start for a missing or bad file; later ones are refused and logged."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._stamp = self._stamp_now()
        self._looked = clock()
        self._policy = read_policy(_text(path), str(path))
        self.refused = ""

    def current(self) -> Policy:
        """The policy in force; looks at the file at most once a second."""
        now = self._clock()
        if now - self._looked >= _LOOK_EVERY_S:
            self._looked = now
            self._reload()
        return self._policy

    def _reload(self) -> None:
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            read = read_policy(_text(self._path), str(self._path))
            check_succession(self._policy.event_types, read.event_types, str(self._path))
            self._policy = read
            self.refused = ""
        except ConfigError as error:
            self.refused = str(error)
            _log.error("the policy in force stays", refused=self.refused)

    def _stamp_now(self) -> tuple[int, int]:
        try:
            stat = self._path.stat()
        except OSError:
            return (0, 0)
        return (stat.st_mtime_ns, stat.st_size)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"policy {path} cannot be read ({error}): give another with `policy = ...`") from None
