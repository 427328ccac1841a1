"""Write-behind: large sequential writes go to the disk while they are made, and leave the cache.

Left alone, the kernel gathers written pages until an fsync has to wait for all of them, and lets
them push everything else out of memory. Here each finished step of 16 MiB is started on its way
to the disk at once; when the next step is full, the one before is waited for and its pages are
given back. The fsync at the end then finds almost nothing to do, and the page cache stays small.
A thread may do that, for the kernel takes its time to order and to give back: what it was told of
failed writes is then raised at the next step, or by `finish`. It is never waited for while one
writes, since that may be within HDF5: if it is behind, so is the next step.

It changes speed, never safety: an fsync is needed all the same. Where the system has no
``sync_file_range`` (it is Linux's own) nothing happens at all.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from h5daq.storage.crew import Crew

__all__ = ["WriteBehind"]

_STEP_BYTES = 16 << 20
_PAGE_BYTES = 4096

_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4

_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP}

_Range = Callable[[int, int, int, int], int]


class WriteBehind:
    """Starts, and later finishes, the way to the disk of what is written to a descriptor.

    Parameters
    ----------
    fd : int
        A file opened for writing. It stays the caller's: it is never closed here.
    step : int, optional
        Bytes that are started together.
    begin_crew : callable, optional
        Gives the threads that call the kernel, from the first `begin` on, or the first `finish`
        after a step: within HDF5 is no place to start them. Until then `wrote` does it.

    Notes
    -----
    Not thread-safe: its methods are called by one thread at a time. Only what lies past the
    furthest step is followed; pages rewritten further down wait for the caller's fsync.
    """

    def __init__(
        self, fd: int, step: int = _STEP_BYTES, begin_crew: Callable[[], Crew] | None = None
    ) -> None:
        self._fd = fd
        self._step = step
        self._begin, self._wanted = begin_crew, False
        self._crew: Crew | None = None
        self._moved: threading.Event | None = None
        self._error: OSError | None = None
        self._range = _sync_file_range()
        # Below `dropped` the pages are gone, up to `started` they are on their way.
        self._dropped, self._started, self._end = 0, -1, 0

    def begin(self) -> None:
        """Have the threads from now on; not to be called from within HDF5."""
        if self._crew is None and self._begin is not None:
            # Where there is no thread to be had, it goes without.
            with suppress(OSError):
                self._crew = self._begin()

    def wrote(self, offset: int, length: int) -> None:
        """Take note that `length` bytes were written at `offset`; both in bytes.

        Raises
        ------
        OSError
            If the disk reports a failed write. The kernel reports it once, so this counts as a
            failed fsync: nothing since the last good one is safe.
        """
        if self._started < 0:
            self._dropped = self._started = _page(offset)
        self._end = max(self._end, offset + length)
        if self._end - self._started >= self._step:
            self._advance(_page(self._end))

    def finish(self) -> None:
        """Wait for the thread; to be called before a sync, and before the descriptor is closed.

        Raises
        ------
        OSError
            As `wrote` does.
        """
        moved, self._moved = self._moved, None
        if moved is not None:
            moved.wait()
        if self._wanted:
            self.begin()
        self._check()

    def drop(self) -> None:
        """Give the pages back and begin anew; to be called after an fsync, or after a truncation.

        Pages that are not on disk yet stay where they are.

        Raises
        ------
        OSError
            As `wrote` does, unless `finish` was called before.
        """
        self.finish()
        if self._range is not None and self._end > self._dropped:
            self._give_back(self._dropped, self._end)
        self._dropped, self._started, self._end = 0, -1, 0

    def _advance(self, upto: int) -> None:
        if self._moved is not None and not self._moved.is_set():
            return
        self._check()
        steps = (self._dropped, self._started, upto)
        self._dropped, self._started = self._started, upto
        self._wanted = True
        if self._crew is None:
            self._move(*steps)
        else:
            self._moved = threading.Event()
            self._crew.call(functools.partial(self._move_there, self._moved, *steps))

    def _check(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _move_there(self, moved: threading.Event, *steps: int) -> None:
        try:
            self._move(*steps)
        except OSError as error:
            self._error = error
        except MemoryError:
            self._error = OSError(errno.ENOMEM, f"write-behind: {os.strerror(errno.ENOMEM)}")
        finally:
            moved.set()

    def _move(self, dropped: int, started: int, upto: int) -> None:
        self._order(started, upto, _WRITE)
        if started > dropped:
            self._order(dropped, started, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)
            self._give_back(dropped, started)

    def _order(self, begin: int, end: int, flags: int) -> None:
        if self._range is None or self._range(self._fd, begin, end - begin, flags) == 0:
            return
        number = ctypes.get_errno()
        if number not in _UNSUPPORTED:
            raise OSError(number, f"write-behind: {os.strerror(number)}")
        self._range = None

    def _give_back(self, begin: int, end: int) -> None:
        if self._range is not None and sys.platform == "linux":
            os.posix_fadvise(self._fd, begin, end - begin, os.POSIX_FADV_DONTNEED)


def _page(offset: int) -> int:
    return offset - offset % _PAGE_BYTES


@functools.cache
def _sync_file_range() -> _Range | None:
    """The C library's function, or None where there is none."""
    if sys.platform != "linux":
        return None
    try:
        function = ctypes.CDLL(None, use_errno=True).sync_file_range
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    function.restype = ctypes.c_int
    ordered: _Range = function
    return ordered
