"""A file that can be written past the page cache, where system and file system allow that.

Linux wants a descriptor of its own for it (``O_DIRECT``), and offset, length and memory in whole
blocks. A file system that knows no such writes says so when the file is opened, or only at the
first write (EINVAL): from then on nothing is written past the cache any more.

A write that makes a file longer has the file to itself in the kernel; others go side by side. So
the file is made longer ahead of the writes, with room on the disk. Whoever takes a length for good
cuts it back.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from h5daq.storage.disk import Disk

__all__ = ["DirectFile", "make_longer", "open_direct"]

_AHEAD_BYTES = 64 << 20
"""How much longer a file is made at once."""

_LEAST_FREE = 1 << 30
"""On a disk with less room nothing is claimed that may not be needed, in bytes."""

_UNKNOWN = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}


class DirectFile:
    """A file of a disk, a `h5daq.storage.pages.Target`.

    Parameters
    ----------
    disk : Disk
        What it is on.
    fd : int
        Its descriptor, which stays the caller's.

    Attributes
    ----------
    direct : bool
        False once it turned out that the file can't be written past the cache.
    """

    def __init__(self, disk: Disk, fd: int) -> None:
        self._disk, self._fd = disk, fd
        self._lock = threading.Lock()
        self._opened: int | None = None
        self._length, self._ahead = 0, True
        self.direct = disk.past_cache

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of `data` through the page cache."""
        self._disk.write(self._fd, offset, data)

    def write_direct(self, offset: int, pages: memoryview) -> bool:
        """Write whole pages past it; False where that can't be, and nothing was written."""
        fd = self._descriptor()
        if fd is None:
            return False
        self._make_longer(offset + len(pages))
        try:
            done = self._disk.write_direct(fd, offset, pages)
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
            self.direct = False
            return False
        if done < len(pages):
            # A disk that is nearly full, or a signal: the rest says why, or needs no whole pages.
            self.write(offset + done, pages[done:])
        return True

    def settled(self) -> None:
        """Nothing is on its way, and somebody may cut the file."""
        self._length = 0

    def _make_longer(self, end: int) -> None:
        with self._lock:
            if end <= self._length:
                return
            self._length = end + _AHEAD_BYTES
            length = self._disk.size(self._fd)
            if length < end and self._ahead:
                try:
                    self._disk.make_longer(self._fd, length, self._length)
                except OSError:
                    # It goes without. What was got all the same is cut off with the next commit.
                    self._ahead = False

    def _descriptor(self) -> int | None:
        # Two threads may come here first: one of them must not open a second one.
        with self._lock:
            if self.direct and self._opened is None:
                self._opened = self._disk.open_direct(self._fd)
                self.direct = self._opened is not None
            return self._opened if self.direct else None

    def close(self) -> None:
        """No more writes past the cache; nothing may be on its way."""
        opened, self._opened, self.direct = self._opened, None, False
        if opened is not None:
            self._disk.close_direct(opened)


def open_direct(fd: int) -> int | None:
    """A second descriptor of the same file, for writes past the page cache; None if there is none.

    It is opened by way of /proc, so that the file's name may have changed, or be gone.
    """
    if sys.platform != "linux":
        return None
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        # Also where /proc is not mounted, or descriptors are used up: then it is not worth one.
        return None


def make_longer(fd: int, length: int, wanted: int) -> None:
    """Make a file of `length` bytes longer, with room on the disk for what is new.

    Raises
    ------
    OSError
        If the file system can't be asked for it (the C library's ``posix_fallocate`` would then
        write zeros, all of them), or others might soon be short of room.
    """
    claim, free = _fallocate(), os.fstatvfs(fd)
    if free.f_bavail * free.f_frsize < _LEAST_FREE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if claim is None or claim(fd, 0, length, wanted - length) != 0:
        number = errno.ENOSYS if claim is None else ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@functools.cache
def _fallocate() -> Callable[[int, int, int, int], int] | None:
    """The C library's function, or None where there is none."""
    try:
        function = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    function.restype = ctypes.c_int
    claim: Callable[[int, int, int, int], int] = function
    return claim
