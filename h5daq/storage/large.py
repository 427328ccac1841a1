"""Large writes: past the page cache to the disk itself, in threads of their own.

A write into the page cache costs the processor more than all else that a large row goes through:
pages are found, filled, sent, waited for and given back. So large ones are put together in memory
that begins at a page, and go from there to the disk (``O_DIRECT``), one after the other, while the
next is being put together. Who asks for one goes on at once; `LargeWrites.settle` waits, and says
what went wrong.

Where system or file system know no such writes they go through the cache, in the same threads. It
all changes speed, never safety: an fsync is needed all the same.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from h5daq.storage.pages import PageMemory, PageWriter, Piece, Target

__all__ = ["LARGE_BYTES", "Fill", "LargeWrites", "Threads", "put_together"]

LARGE_BYTES = 256 << 10
"""From here on a write is worth handing to another thread."""

_MOST_BYTES, _MOST_AT_ONCE = 16 << 20, 8 << 20
"""Of writes on their way; who wants more waits. And of those that go out together."""

Fill = Callable[[NDArray[np.uint8]], None]
"""Puts what is to be written into a buffer of that length. Called by another thread."""


class Threads(NamedTuple):
    """Where large writes are made.

    Attributes
    ----------
    fill : Executor
        Puts pieces together.
    write : Executor
        Of one thread: writes that make a file longer wait for each other in the kernel anyway.
    """

    fill: Executor
    write: Executor


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
    begin_threads : callable or None
        Gives the threads where all happens, started; None for at once.

    Notes
    -----
    One thread may submit while another settles.
    """

    def __init__(
        self, target: Target, memory: PageMemory, begin_threads: Callable[[], Threads] | None
    ) -> None:
        self._target, self._memory, self._begin = target, memory, begin_threads
        self._threads: Threads | None = None
        self._pages = PageWriter(target)
        self._lock = threading.Lock()
        self._writes: deque[_Write] = deque()
        self._to_write: deque[Future[Piece]] = deque()
        self._failure: OSError | None = None

    @property
    def direct(self) -> bool:
        """Whether the file can be written past the page cache, as far as was tried."""
        return self._target.direct

    def submit(self, offset: int, nbytes: int, fill: Fill) -> None:
        """Begin to write `nbytes` bytes at `offset`; `make_room` is for before.

        Without threads it is done on return, and raises OSError if it fails.
        """
        threads = self._begun()
        if threads is None:
            self._pages.write([self._filled(offset, nbytes, fill)])
            return
        piece = threads.fill.submit(self._filled, offset, nbytes, fill)
        with self._lock:
            self._to_write.append(piece)
            result = threads.write.submit(self._write_ready, piece)
            self._writes.append(_Write(offset, offset + nbytes, result))

    def make_room(self, nbytes: int) -> None:
        """Wait while so many bytes more would be too many on their way.

        Not to be called from within HDF5: whoever is there holds h5py's lock, and a thread that is
        waited for may want it, to let go of an object that it happens to find unused.
        """
        self._begun()
        pending = self._pending()
        under_way = sum(write.end - write.begin for write in pending)
        for write in pending:
            if under_way + nbytes <= _MOST_BYTES:
                return
            write.result.result()
            under_way -= write.end - write.begin

    def check(self) -> None:
        """Raise the OSError of a write that has failed, again with each call until `forget`."""
        if self._failure is not None:
            raise OSError(self._failure.errno, self._failure.strerror) from self._failure

    def settle(self) -> None:
        """Wait for what was submitted before the call; then `check`."""
        if self._threads is None:
            self._pages.flush()
        elif self._pending() or self._pages.waiting:
            # It comes behind what was submitted, in the same thread.
            self._threads.write.submit(self._keeping, self._pages.flush).result()
            self._pending()
        self.check()

    def settle_over(self, begin: int, end: int) -> None:
        """Settle if something on its way touches these bytes."""
        under_way = [(write.begin, write.end) for write in self._pending()]
        waiting = self._pages.waiting
        if any(b < end and begin < e for b, e in [*under_way, waiting or (0, 0)]):
            self.settle()

    def forget(self) -> None:
        """Wait, and forget what failed: nobody wants those bytes any more."""
        for write in self._pending():
            write.result.result()
        self._pages.drop()
        self._failure = None

    def close(self) -> None:
        """Forget, and let go of the file."""
        self.forget()
        self._target.close()

    def _begun(self) -> Threads | None:
        if self._threads is None and self._begin is not None:
            self._threads = self._begin()
        return self._threads

    # -- waiting ---------------------------------------------------------------------------------

    def _pending(self) -> tuple[_Write, ...]:
        if not self._writes:
            return ()
        with self._lock:
            while self._writes and self._writes[0].result.done():
                self._writes.popleft().result.result()
            return tuple(self._writes)

    # -- in the threads --------------------------------------------------------------------------

    def _filled(self, offset: int, nbytes: int, fill: Fill) -> Piece:
        try:
            piece = Piece.empty(offset, nbytes, self._memory)
        except MemoryError as error:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error
        fill(piece.data)
        return piece

    def _write_ready(self, wanted: Future[Piece]) -> None:
        """Write a piece, and those behind it that are ready, unless it went with one before it."""
        if self._to_write and self._to_write[0] is wanted:
            self._keeping(self._write_together)

    def _keeping(self, work: Callable[[], None]) -> None:
        """Do something, and keep what the disk says against it."""
        try:
            work()
        except OSError as error:
            self._failure = self._failure or error

    def _write_together(self) -> None:
        pieces = [self._to_write.popleft().result()]
        nbytes = pieces[0].nbytes
        while not pieces[-1].small and (piece := self._following(pieces[-1])) is not None:
            nbytes += piece.nbytes
            if piece.small or nbytes > _MOST_AT_ONCE:
                break
            pieces.append(piece)
            self._to_write.popleft()
        self._pages.write(pieces)
        for piece in pieces:
            self._memory.give(piece.buffer)

    def _following(self, piece: Piece) -> Piece | None:
        """The next piece, if it is ready and begins where this one ends."""
        future = self._to_write[0] if self._to_write else None
        if future is None or not future.done() or future.exception() is not None:
            return None
        following = future.result()
        return following if following.offset == piece.end else None


def put_together(parts: Sequence[bytes | bytearray | memoryview], buffer: NDArray[Any]) -> None:
    """Put pieces of bytes one after the other into a buffer of their length."""
    at = 0
    for part in filter(len, parts):
        buffer[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
