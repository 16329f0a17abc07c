"""The stages of one request that failed or were cut short, and what is said of them in the answer."""

from dataclasses import dataclass, field

from penchant.errors import PenchantError
from services.runtime.logs import logger

_log = logger("stages")


@dataclass(slots=True)
class Degraded:
    """Collects "stage:reason", each once, in the order they happened."""

    stages: list[str] = field(default_factory=list)

    def say(self, stage: str, reason: str) -> None:
        """A stage did less than it should."""
        line = f"{stage}:{reason}"
        if line not in self.stages:
            self.stages.append(line)

    def failed(self, stage: str, error: Exception) -> None:
        """A stage failed; what is no failure of the surroundings is a fault of ours and is logged whole."""
        if isinstance(error, TimeoutError):
            self.say(stage, "deadline")
            return
        if not isinstance(error, PenchantError | OSError):
            _log.error("stage failed", stage=stage, exc_info=error)
        self.say(stage, type(error).__name__)
