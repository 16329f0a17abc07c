"""What the C library's allocator is told, so that a server's memory stays level for weeks."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""mallopt(3) of glibc."""
_BIG_BYTES = 4 << 20
_KEPT_BYTES = 8 << 20


def give_memory_back() -> None:
    """Blocks of 4 MiB and more are mapped on their own, and at most 8 MiB of free memory are kept at the heap's end.

    Left alone, glibc raises both limits with every big block that is freed, to 32 and 64 MiB: large answers then lie
    among small lasting ones, and what a burst took is kept. Smaller limits seemed to cost: at 128 KiB (glibc's
    MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_) an event took 168 and 165 us for 144 and 147, by
    benchmarks.throughput, in turn, beside other work; with these no difference is told from the noise. Does nothing
    where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _BIG_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
