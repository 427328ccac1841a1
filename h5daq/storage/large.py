"""Large writes: past the page cache to the disk itself, in threads of their own.

A write into the page cache costs the processor more than all else that a large row goes through:
pages are found, filled, sent, waited for and given back. So large ones are put together in memory
that begins at a page, and go from there to the disk (``O_DIRECT``). Who asks for one goes on at
once; `LargeWrites.settle` waits, and says what went wrong. The bytes in the first and the last
page that are shared with others go through the cache as ever, and so does everything where system
or file system know no such writes.

It changes speed, never safety: an fsync is needed all the same.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGE_BYTES", "PAGE_BYTES", "Fill", "LargeWrites", "PageMemory", "Target", "fill_from"]

PAGE_BYTES = 4096
"""What offset, length and memory of a write past the cache are multiples of."""

LARGE_BYTES = 256 << 10
"""From here on a write is worth handing to another thread."""

_MOST_BYTES = 16 << 20
"""Of writes on their way; who wants more waits."""

Fill = Callable[[NDArray[np.uint8]], None]
"""Puts what is to be written into a buffer of that length. Called by another thread."""


class Target(Protocol):
    """The file, as these writes see it.

    Attributes
    ----------
    direct : bool
        Whether it can be written past the page cache, as far as was tried.
    """

    direct: bool

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of `data` through the page cache."""
        ...

    def write_direct(self, offset: int, data: memoryview) -> bool:
        """Write whole pages past it; False where that can't be, and nothing was written."""
        ...

    def close(self) -> None:
        """No more writes past the cache."""
        ...


class PageMemory:
    """Buffers that begin at a page, and are used again: memory that is new costs more to touch."""

    _KEPT = 4

    def __init__(self) -> None:
        self._spare: list[NDArray[np.uint8]] = []

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """A buffer of at least that many bytes. From any thread."""
        try:
            spare = self._spare.pop()
        except IndexError:
            return _page_aligned(nbytes)
        return spare if nbytes <= len(spare) else _page_aligned(nbytes)

    def give(self, buffer: NDArray[np.uint8]) -> None:
        """It is not needed any more."""
        if len(self._spare) < self._KEPT:
            self._spare.append(buffer)


class _Write(NamedTuple):
    begin: int
    end: int
    result: Future[None]


class LargeWrites:
    """Large writes to one file.

    Parameters
    ----------
    target : Target
        The file.
    memory : PageMemory
        Where the data are put together.
    threads : Executor or None
        Where that happens; None for at once.

    Notes
    -----
    One thread may submit while another settles.
    """

    def __init__(self, target: Target, memory: PageMemory, threads: Executor | None) -> None:
        self._target, self._memory, self._threads = target, memory, threads
        self._lock = threading.Lock()
        self._writes: deque[_Write] = deque()
        self._failure: OSError | None = None

    @property
    def direct(self) -> bool:
        """Whether the file can be written past the page cache, as far as was tried."""
        return self._target.direct

    def submit(self, offset: int, nbytes: int, fill: Fill) -> None:
        """Begin to write `nbytes` bytes at `offset`; waits while too many are on their way.

        Without threads it is done on return, and raises OSError if it fails.
        """
        if self._threads is None:
            self._perform(offset, nbytes, fill)
            return
        self._make_room(nbytes)
        result = self._threads.submit(self._perform, offset, nbytes, fill)
        with self._lock:
            self._writes.append(_Write(offset, offset + nbytes, result))

    def check(self) -> None:
        """Raise the OSError of a write that has failed, again with each call until `forget`."""
        if self._failure is not None:
            raise OSError(self._failure.errno, self._failure.strerror) from self._failure

    def settle(self) -> None:
        """Wait for what was submitted before the call; then `check`."""
        for write in self._pending():
            self._wait(write)
        self.check()

    def settle_over(self, begin: int, end: int) -> None:
        """Settle if something on its way touches these bytes."""
        if any(write.begin < end and begin < write.end for write in self._pending()):
            self.settle()

    def forget(self) -> None:
        """Wait, and forget what failed: nobody wants those bytes any more."""
        for write in self._pending():
            self._wait(write)
        self._failure = None

    def close(self) -> None:
        """Forget, and let go of the file."""
        self.forget()
        self._target.close()

    def _pending(self) -> tuple[_Write, ...]:
        if not self._writes:
            return ()
        with self._lock:
            while self._writes and self._writes[0].result.done():
                self._note(self._writes.popleft())
            return tuple(self._writes)

    def _make_room(self, nbytes: int) -> None:
        pending = self._pending()
        under_way = sum(write.end - write.begin for write in pending)
        for write in pending:
            if under_way + nbytes <= _MOST_BYTES:
                return
            self._wait(write)
            under_way -= write.end - write.begin

    def _wait(self, write: _Write) -> None:
        write.result.exception()
        self._note(write)

    def _note(self, write: _Write) -> None:
        error = write.result.exception()
        if isinstance(error, OSError):
            self._failure = self._failure or error
        elif error is not None:
            raise error

    # -- in the thread ---------------------------------------------------------------------------

    def _perform(self, offset: int, nbytes: int, fill: Fill) -> None:
        phase = offset % PAGE_BYTES
        try:
            buffer = self._memory.take(phase + nbytes)
        except MemoryError as error:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error
        whole = buffer[phase : phase + nbytes]
        fill(whole)
        self._write(offset, whole.data)
        self._memory.give(buffer)

    def _write(self, offset: int, data: memoryview) -> None:
        """Whole pages directly, what is left at either end through the cache."""
        begin = -offset % PAGE_BYTES
        end = len(data) - (offset + len(data)) % PAGE_BYTES
        if begin < end and self._target.write_direct(offset + begin, data[begin:end]):
            pieces = [(offset, data[:begin]), (offset + end, data[end:])]
        else:
            pieces = [(offset, data)]
        for at, piece in pieces:
            if piece:
                self._target.write(at, piece)


def fill_from(parts: Sequence[memoryview]) -> Fill:
    """A `Fill` that puts pieces of bytes one after the other."""

    def fill(buffer: NDArray[np.uint8]) -> None:
        at = 0
        for part in parts:
            buffer[at : at + len(part)] = np.frombuffer(part, np.uint8)
            at += len(part)

    return fill


def _page_aligned(nbytes: int) -> NDArray[np.uint8]:
    # A page more, so that the same length fits whatever offset the next write has.
    whole = np.empty(-(-nbytes // PAGE_BYTES) * PAGE_BYTES + 2 * PAGE_BYTES, np.uint8)
    start = -whole.ctypes.data % PAGE_BYTES
    return whole[start : len(whole) - PAGE_BYTES + start]
