"""Full chunks on their way to the file; deflate and large checksums run in threads of their own.

What is faster than handing a block to another thread is done and written at once. Deflate is
slower than all the rest together, and the checksum of a large block takes as long as its way to
the disk: such chunks are encoded by two threads (zlib, ISA-L and HDF5 let go of the interpreter)
and written here, in the order they came. Their buffers are used again, for memory that the
process never had costs more to touch than to copy into.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from h5daq.storage.filters import Encoded
from h5daq.storage.layouts.columns import BinaryColumn

__all__ = ["ChunkPool"]

_THREADS = 2
_BYTES_IN_WORK = 16 << 20
"""Bytes of blocks that are held for encoding at most."""


class _Work(NamedTuple):
    column: BinaryColumn
    chunk: int
    nbytes: int
    buffer: NDArray[np.uint8] | None
    result: Future[Encoded]


class ChunkPool:
    """Takes full chunks for the transaction that is open."""

    def __init__(self) -> None:
        self._file: h5py.File | None = None
        self._work: deque[_Work] = deque()
        self._bytes = 0
        self._threads: ThreadPoolExecutor | None = None
        self._spare: list[NDArray[np.uint8]] = []

    @property
    def file(self) -> h5py.File:
        """The file of the transaction that is open."""
        if self._file is None:
            raise ValueError("no transaction is open")
        return self._file

    def begin(self, file: h5py.File) -> None:
        """A transaction has begun."""
        self._file = file

    def put(self, column: BinaryColumn, index: int, block: NDArray[Any]) -> None:
        """Take a full chunk; it is in the file at the latest after `drain`."""
        filters, nbytes = column.filters, block.nbytes
        if not filters.slow(nbytes):
            column.write(self.file, index, block, len(block))
            return
        buffer = self._buffer(filters.room(nbytes))
        result = self._pool().submit(filters.encode, block, buffer)
        self._work.append(_Work(column, index, nbytes, buffer, result))
        self._bytes += nbytes
        while self._bytes > _BYTES_IN_WORK or self._work[0].result.done():
            if not self._write_oldest():
                return

    def drain(self) -> None:
        """Write all that is still being encoded."""
        while self._write_oldest():
            pass

    def end(self) -> None:
        """The transaction is over; what was not written is forgotten."""
        for work in self._work:
            work.result.cancel()
        self._work.clear()
        self._bytes = 0
        self._file = None

    def close(self) -> None:
        """Let the threads go."""
        self.end()
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def _write_oldest(self) -> bool:
        """Write the oldest chunk; False when none is left after it."""
        if not self._work:
            return False
        work = self._work.popleft()
        self._bytes -= work.nbytes
        work.column.write_encoded(self.file, work.chunk, work.result.result())
        if work.buffer is not None:
            self._spare.append(work.buffer)
        return bool(self._work)

    def _buffer(self, size: int) -> NDArray[np.uint8] | None:
        """A spare one of that size, or a new one; spare ones of other sizes are let go."""
        if not size:
            return None
        if self._spare and len(self._spare[-1]) != size:
            self._spare.clear()
        return self._spare.pop() if self._spare else np.empty(size, np.uint8)

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "h5daq-encode")
        return self._threads
