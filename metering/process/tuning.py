"""How the interpreter is set for this work, in every command: large batches, and a memory of many ids."""

import ctypes
import gc
from typing import Final

GC_THRESHOLDS: Final = (1_000_000, 50, 100)
"""Batches are many objects and no cycles: a worker that is behind holds nearly a million for a second."""

MMAP_THRESHOLD_BYTES: Final = 1024 * 1024
_M_MMAP_THRESHOLD: Final = -3  # malloc.h


def tune() -> None:
    """Set all of it, once, in a process of its own."""
    gc.set_threshold(*GC_THRESHOLDS)
    # Merged runs of ids are large and short-lived. glibc would soon take them from a heap that only grows:
    # its threshold moves until it is set, see mallopt(3). Other C libraries have no such thing.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
