"""Full chunks on their way to the file; what takes long is done by threads.

What is faster than handing a block to another thread is done and written at once. Deflate is
slower than all the rest together: such chunks are encoded by two threads (zlib and ISA-L let go of
the interpreter) and written here, in the order they came. A large chunk whose length is known
beforehand is only given its place here; its checksum and its way to the disk are a thread's.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import h5py
from numpy.typing import NDArray

from h5daq.storage.filters import Encoded
from h5daq.storage.layouts.columns import BinaryColumn
from h5daq.storage.transaction import TransactionFile

__all__ = ["ChunkPool"]

_THREADS = 2
_BYTES_IN_WORK = 16 << 20
"""Bytes of blocks that are held for encoding at most."""


class _Work(NamedTuple):
    column: BinaryColumn
    chunk: int
    nbytes: int
    result: Future[Encoded]


class ChunkPool:
    """Takes full chunks for the transaction that is open.

    Parameters
    ----------
    target : TransactionFile
        Where they go.
    """

    def __init__(self, target: TransactionFile) -> None:
        self._target = target
        self._file: h5py.File | None = None
        self._work: deque[_Work] = deque()
        self._bytes = 0
        self._threads: ThreadPoolExecutor | None = None

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
        """Take a full chunk; it is in the file at the latest after the commit."""
        if column.filters.deflates:
            self._encode(column, index, block)
        elif column.is_large:
            column.write_later(self.file, index, block, self._target)
        else:
            column.write(self.file, index, block, len(block))

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

    def _encode(self, column: BinaryColumn, index: int, block: NDArray[Any]) -> None:
        result = self._pool().submit(column.filters.encode, block)
        self._work.append(_Work(column, index, block.nbytes, result))
        self._bytes += block.nbytes
        while self._bytes > _BYTES_IN_WORK or self._work[0].result.done():
            if not self._write_oldest():
                return

    def _write_oldest(self) -> bool:
        """Write the oldest chunk; False when none is left after it."""
        if not self._work:
            return False
        work = self._work.popleft()
        self._bytes -= work.nbytes
        work.column.write_encoded(self.file, work.chunk, work.result.result())
        return bool(self._work)

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "h5daq-encode")
        return self._threads
