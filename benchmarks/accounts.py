"""What processes cost: CPU seconds and memory, from /proc, so that figures of a shared machine can be judged."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
MACHINE = "machine"
"""Name of everything that runs here, ours and others'."""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since a process began, and its resident bytes."""

    cpu_s: float
    rss: int = 0


def usage_of(pid: int) -> Usage:
    """Of one process, its threads included. Raises FileNotFoundError when it is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * _PAGE)


def usage_of_machine() -> Usage:
    """CPU seconds of all cores together that were not idle."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, soft, *steal = (int(field) for field in first[:8])
    return Usage((user + nice + system + irq + soft + sum(steal)) / _TICKS)


@dataclass(slots=True)
class Accounts:
    """Samples of named processes over time."""

    pids: Mapping[str, int]
    at: list[float] = field(default_factory=list)
    """time.perf_counter of each sample."""
    samples: dict[str, list[Usage]] = field(default_factory=dict)

    def sample(self) -> None:
        """Look at every process once."""
        self.at.append(time.perf_counter())
        for name, pid in self.pids.items():
            self.samples.setdefault(name, []).append(usage_of(pid))
        self.samples.setdefault(MACHINE, []).append(usage_of_machine())

    def cores(self, first: int = 0, last: int = -1) -> dict[str, float]:
        """Cores kept busy between two samples, by process; "others" is what was none of ours."""
        wall_s = max(self.at[last] - self.at[first], 1e-9)
        used = {name: (s[last].cpu_s - s[first].cpu_s) / wall_s for name, s in self.samples.items()}
        used["others"] = max(0.0, used.pop(MACHINE) - sum(used.values()))
        return {name: round(cores, 3) for name, cores in used.items()}

    def memory(self, first: int = 0) -> dict[str, dict[str, float]]:
        """MiB at a sample and at the end, and the slope fitted between, in MiB an hour with its standard error."""
        hours = np.array(self.at[first:]) / 3600
        return {
            name: {
                "first_mib": round(found[first].rss / 2**20, 1),
                "last_mib": round(found[-1].rss / 2**20, 1),
                **_slope(hours, np.array([usage.rss for usage in found[first:]]) / 2**20),
            }
            for name, found in self.samples.items()
            if name != MACHINE
        }


def _slope(x: Any, y: Any) -> dict[str, float]:
    if len(x) < 3 or np.ptp(x) == 0:
        return {}
    x = x - x.mean()
    slope = float((x * (y - y.mean())).sum() / (x * x).sum())
    left = y - y.mean() - slope * x
    error = float(np.sqrt((left * left).sum() / (len(x) - 2) / (x * x).sum()))
    return {"slope_mib_per_hour": round(slope, 2), "slope_error": round(error, 2)}
