"""Renaming a file in one step, and never over another one.

POSIX has only half of it: ``rename`` replaces what has the new name, and a link that is made before
the old name is removed leaves two names when the process dies in between. Linux and macOS have a
call for the whole, which Python does not offer; some file systems (of networks, mostly) lack it.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["rename_exclusive"]

_AT_FDCWD, _RENAME_NOREPLACE = -100, 1
_RENAME_EXCL = 4

_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def rename_exclusive(old: Path, new: Path) -> bool:
    """Rename `old` to `new`; False, and nothing done, where the system has no such call.

    Raises
    ------
    FileExistsError
        If `new` is there.
    OSError
        If the rename fails.
    """
    call = _call()
    if call is None:
        return False
    if call(os.fsencode(old), os.fsencode(new)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(old), None, str(new))


@functools.cache
def _call() -> Callable[[bytes, bytes], int] | None:
    """The C library's function; None where there is none."""
    try:
        return _linux() if sys.platform == "linux" else _darwin()
    except (OSError, AttributeError, TypeError):
        return None


def _linux() -> Callable[[bytes, bytes], int]:
    function = ctypes.CDLL(None, use_errno=True).renameat2
    path = ctypes.c_char_p
    function.argtypes = [ctypes.c_int, path, ctypes.c_int, path, ctypes.c_uint]
    return lambda old, new: int(function(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE))


def _darwin() -> Callable[[bytes, bytes], int]:
    function = ctypes.CDLL(None, use_errno=True).renamex_np
    function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint]
    return lambda old, new: int(function(old, new, _RENAME_EXCL))
