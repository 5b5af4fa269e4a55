"""How the interpreter is set for this work: large batches, a folding thread, and a memory of many ids."""

import ctypes
import gc
import sys
from typing import Final

GC_THRESHOLDS: Final = (100_000, 50, 100)
"""Batches are many objects and no cycles: looking at them often is time lost."""

SWITCH_INTERVAL_S: Final = 0.0005
"""The loop waits this long for the folding thread at every turn: Python's own 5 ms would add up."""

MMAP_THRESHOLD_BYTES: Final = 1024 * 1024
_M_MMAP_THRESHOLD: Final = -3  # malloc.h


def tune() -> None:
    """Set all of it, once, in a process of its own."""
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # Merged runs of ids are large and short-lived. glibc would soon take them from a heap that only grows:
    # its threshold moves until it is set, see mallopt(3). Other C libraries have no such thing.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
