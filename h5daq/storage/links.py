"""How many names an open file has, asked without a price for who writes it.

Linux gives a file that is written a time of its own after each look at its times, and brings that
to the medium with the next sync: an ``fstat`` after each sync makes each of them write twice. So
the count alone is asked for, by ``statx``, which is not in Python's library. Where the system has
none, an ``fstat`` is what there is.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
import sys
from collections.abc import Callable

__all__ = ["names_of"]

_AT_EMPTY_PATH, _AT_STATX_DONT_SYNC = 0x1000, 0x4000
_NLINK = 0x4
_MASK_AND_NLINK = struct.Struct("=I12xI")
"""Of the kernel's ``struct statx``: which fields it filled, and the count."""

_BYTES = 256

_Statx = Callable[[int, bytes, int, int, ctypes.Array[ctypes.c_char]], int]


def names_of(fd: int) -> int:
    """Names that an open file has; 0 once it was removed.

    Raises
    ------
    OSError
        If the descriptor is none.
    """
    statx = _statx()
    if statx is not None:
        found = ctypes.create_string_buffer(_BYTES)
        if statx(fd, b"", _AT_EMPTY_PATH | _AT_STATX_DONT_SYNC, _NLINK, found) == 0:
            mask, count = _MASK_AND_NLINK.unpack_from(found)
            if mask & _NLINK:
                return int(count)
    return os.fstat(fd).st_nlink


@functools.cache
def _statx() -> _Statx | None:
    """The C library's function, or None where there is none."""
    if sys.platform != "linux":
        return None
    try:
        function = ctypes.CDLL(None, use_errno=True).statx
    except (OSError, AttributeError):
        return None
    function.argtypes = [
        ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p
    ]  # fmt: skip
    function.restype = ctypes.c_int
    known: _Statx = function
    return known
