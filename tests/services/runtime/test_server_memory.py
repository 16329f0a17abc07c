"""What a burst took goes back to the system, seen on a process of its own."""

import subprocess
import sys

import pytest

_BURST = """
import sys
from pathlib import Path
from services.runtime.memory import give_memory_back

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

if sys.argv[1] == "told":
    give_memory_back()
big = b"x" * (30 << 20)
del big  # Freed, it teaches glibc to keep up to 60 MiB.
before = resident_mib()
burst = [b"x" * 200_000 for _ in range(250)]
del burst
print(resident_mib() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator of glibc")
def test_a_burst_of_answers_leaves_no_more_than_the_stated_rest() -> None:
    kept = {how: _kept_mib(how) for how in ("told", "left alone")}
    assert kept["told"] < 9
    assert kept["left alone"] > 30, "glibc gives memory back by itself: give_memory_back is dead"


def _kept_mib(how: str) -> float:
    done = subprocess.run([sys.executable, "-c", _BURST, how], capture_output=True, text=True, check=True)
    return float(done.stdout)
