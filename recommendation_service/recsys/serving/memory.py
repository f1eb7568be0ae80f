"""Memory that was needed once, while a release or the live catalogue was loaded, goes back to the system."""

from __future__ import annotations

import ctypes


def give_memory_back() -> None:
    """Return what is freed and still held by the C library; nothing where it is not glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
