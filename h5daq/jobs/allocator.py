"""Memory that is used again: messages come and go, and the pages that they lie in stay.

A message of a mebibyte is new memory in ZeroMQ's thread and in the worker's, and freed a moment
later. glibc gives so much back to the kernel at once, and the next message costs 256 page faults
and as many pages that are cleared: 0.2 ms of CPU per MiB in both processes together. So the writer
and each worker have it keep what is free, up to a limit, in one arena for all threads.

A user's process is never touched, and where the C library is another one nothing is done.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys

__all__ = ["KEPT_BYTES", "keep_freed_memory"]

KEPT_BYTES = 32 << 20
"""Free memory beyond this goes back to the kernel: more than a worker has on its way at once."""

_MAPPED_BYTES = 32 << 20
"""Blocks from here on are mapped by themselves, and unmapped when freed; glibc takes no more."""

# mallopt(3); the values are those of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def keep_freed_memory(kept_bytes: int = KEPT_BYTES) -> bool:
    """Have this process keep freed memory for what comes next; False where that can't be had.

    Parameters
    ----------
    kept_bytes : int
        Free memory beyond this goes back to the kernel.
    """
    if sys.platform != "linux":
        return False
    # musl has no such function, and needs none.
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        # Arenas of threads consist of heaps of 64 MiB, and a heap that is free goes back whole.
        wanted = {
            _M_TRIM_THRESHOLD: kept_bytes,
            _M_MMAP_THRESHOLD: _MAPPED_BYTES,
            _M_ARENA_MAX: 1,
        }
        return all(mallopt(option, value) for option, value in wanted.items())
    return False
