"""The folder of a long experiment: what was finished there is used again."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penchant.errors import ConfigError
from training.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class Kept:
    """The folder of an experiment: a world and its fits take hours, so what was finished there is used again.

    What other code made is used too, so that a learner can be changed and tried again; other_code names it.
    """

    folder: Path
    other_code: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, settings: Mapping[str, Any], folder: Path) -> "Kept":
        """Raises ConfigError for a folder that holds something else, or an experiment with other settings."""
        file = folder / "experiment.json"
        if file.exists():
            held = json.loads(file.read_text())
            other = sorted(name for name in settings if held.get(name) != settings[name])
            if other:
                was = ", ".join(f"{name} {held.get(name)}" for name in other)
                raise ConfigError(
                    f"--out {folder} holds an experiment with {was}: give the same, name another folder or remove it"
                )
        elif folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"--out {folder} is not empty: name a folder that is not there yet")
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(dict(settings)))
        return cls(folder)

    def once(self, name: str, make: Callable[[Path], object]) -> float:
        """Make <folder>/<name>, unless that was finished before; the CPU seconds it took when it was made."""
        note = self.folder / f"{name}.json"
        if not note.exists():
            shutil.rmtree(self.folder / name, ignore_errors=True)
            cpu = cpu_s()
            make(self.folder / name)
            note.write_text(json.dumps({"cpu_s": cpu_s() - cpu, "code": fingerprint()}))
        made = json.loads(note.read_text())
        if made.get("code") != fingerprint():
            self.other_code.append(name)
        return float(made["cpu_s"])


def cpu_s() -> float:
    """CPU seconds of this process and its children so far, all threads."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
