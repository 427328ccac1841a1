"""From batches of any length to the chunks of a dataset, one column at a time.

A `ChunkFiller` knows how many rows the dataset has and takes arrays of new rows. Whenever a chunk
is full it hands it out as one contiguous block: a view of the array it was given when the rows
happen to be aligned, else its own buffer. What is left is the partial chunk; at a checkpoint
`ChunkFiller.partial` gives it padded with the fill value, and it goes on being filled afterwards.

How large a chunk is follows from the rows expected in a few checkpoints (`chunk_rows`): a chunk
that takes hours to fill would be rewritten at each checkpoint, a small one costs index entries.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.flow.schema import Column

__all__ = [
    "MAX_CHUNK_BYTES",
    "MIN_CHUNK_BYTES",
    "ChunkFiller",
    "chunk_rows",
    "expected_rows",
    "fill_value",
]

MIN_CHUNK_BYTES = 1 << 10
"""Below it the index and the file system's pages cost more than a rewritten chunk."""

MAX_CHUNK_BYTES = 1024 * 1024
"""HDF5's usual chunk cache: a reader that goes row by row still decodes each chunk once."""

MAX_USER_CHUNK_BYTES = 64 * 1024 * 1024
"""Most bytes of a chunk that a user asks for: each column buffers one."""

MAX_BUFFERED_BYTES = 512 * 1024 * 1024
"""Most bytes of one such chunk of each of a job's columns."""

_CHECKPOINTS_PER_CHUNK = 4
_BATCH_SECONDS = 0.02
_MOST_RATE = 1e9


def expected_rows(rows: int, span: float, period: float, mode: str, write_period: float) -> int:
    """Rows that a few checkpoints will bring, judged by a job's first batch.

    Parameters
    ----------
    rows : int
        Rows of the first batch. A worker closes it after 20 ms or after one reading, whichever
        is longer.
    span : float
        Seconds from its first row to its last.
    period : float
        Seconds between readings; 0 where there is none.
    mode : {"schedule", "constant", "trigger"}
        The job's read mode. Triggers tell nothing of a rate.
    write_period : float
        Seconds between checkpoints.
    """
    if mode == "trigger":
        return rows * _CHECKPOINTS_PER_CHUNK
    rate = rows / max(span, period, _BATCH_SECONDS)
    if period > 0.0:
        # What a worker says of itself may be any number.
        rate = max(rate, min(1.0 / period, _MOST_RATE))
    return max(1, math.ceil(rate * write_period * _CHECKPOINTS_PER_CHUNK))


def chunk_rows(
    row_bytes: int, expected: int, user: int | None = None, whole_row_bytes: int = 0
) -> int:
    """Rows of a chunk.

    Parameters
    ----------
    row_bytes : int
        Bytes of one row of the column.
    expected : int
        Rows expected in a few checkpoints.
    user : int, optional
        The user's ``chunk_length``; taken as it is up to 64 MiB, or 512 MiB over all columns.
    whole_row_bytes : int
        Bytes of one row of all columns.

    Returns
    -------
    int
        At least 1; 1 KiB to 1 MiB unless the user or a single row says otherwise.
    """
    if user:
        alone = MAX_USER_CHUNK_BYTES // max(1, row_bytes)
        return max(1, min(user, alone, MAX_BUFFERED_BYTES // max(1, row_bytes, whole_row_bytes)))
    wanted = min(max(expected * row_bytes, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES)
    return max(1, wanted // max(1, row_bytes))


def fill_value(column: Column) -> Any:
    """What unwritten rows read as: NaN where the type has one, else zero."""
    if column.dtype.kind == "f":
        return column.dtype.type(np.nan)
    if column.dtype.kind == "c":
        return column.dtype.type(complex(np.nan, np.nan))
    return np.zeros((), column.dtype)[()]


class ChunkFiller:
    """Cuts the rows of one column into the chunks of its dataset.

    Parameters
    ----------
    column : Column
        Not a text column.
    chunk_rows : int
        Rows of a chunk.
    start_row : int
        Rows that the dataset has already.
    tail : ndarray, optional
        The rows of the partial chunk that `start_row` falls in, shape
        ``(start_row % chunk_rows, *column.shape)``.

    Attributes
    ----------
    rows : int
        Rows taken so far, with those that the dataset had.
    """

    def __init__(
        self,
        column: Column,
        chunk_rows: int,
        start_row: int = 0,
        tail: NDArray[Any] | None = None,
    ) -> None:
        self._column, self._chunk_rows = column, chunk_rows
        self.rows = start_row
        self._buffer: NDArray[Any] | None = None
        self._padded = False
        self._clean_rows = start_row
        if start_row % chunk_rows:
            self._load(tail)

    def _load(self, tail: NDArray[Any] | None) -> None:
        held = self.rows % self._chunk_rows
        if tail is None or tail.shape != (held, *self._column.shape):
            raise ValueError(f"column {self._column.label!r}: the partial chunk has {held} rows")
        self._own()[:held] = tail

    def _own(self) -> NDArray[Any]:
        if self._buffer is None:
            shape = (self._chunk_rows, *self._column.shape)
            self._buffer, self._padded = np.empty(shape, self._column.dtype), False
        return self._buffer

    def add(self, rows: NDArray[Any]) -> Iterable[tuple[int, NDArray[Any]]]:
        """Take rows, and hand out each chunk that they fill.

        The rows are taken as the chunks are, so take all of those. A block stays
        valid as long as its holder (this buffer or the array given) isn't changed by others; the
        filler itself never writes to a block again.

        Parameters
        ----------
        rows : ndarray
            Shape ``(n, *column.shape)``.

        Returns
        -------
        iterable of (int, ndarray)
            Number of the chunk along the first axis; its rows, C-contiguous, of shape
            ``(chunk_rows, *column.shape)``.
        """
        n, held = len(rows), self.rows % self._chunk_rows
        if not 0 < n < self._chunk_rows - held:
            return self._cut(rows)
        self._own()[held : held + n] = rows
        self.rows += n
        return ()

    def _cut(self, rows: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
        at, size = 0, self._chunk_rows
        while at < len(rows):
            held = self.rows % size
            step = min(size - held, len(rows) - at)
            part = rows[at : at + step]
            at += step
            self.rows += step
            block = self._take(part, held)
            if block is not None:
                self._clean_rows = self.rows
                yield self.rows // size - 1, block

    def _take(self, part: NDArray[Any], held: int) -> NDArray[Any] | None:
        whole = len(part) == self._chunk_rows
        if whole and part.flags.c_contiguous and part.dtype == self._column.dtype:
            return part
        buffer = self._own()
        buffer[held : held + len(part)] = part
        if held + len(part) < self._chunk_rows:
            return None
        self._buffer = None
        return buffer

    def partial(self) -> tuple[int, NDArray[Any], int] | None:
        """The chunk that is not full yet, if it has rows that were not handed out before.

        Returns
        -------
        tuple of (int, ndarray, int) or None
            Number of the chunk; the whole chunk, with the fill value after its rows; the count of
            its rows. The block is the filler's own buffer: use it before the next `add`.
        """
        held = self.rows % self._chunk_rows
        if not held or self.rows == self._clean_rows:
            return None
        buffer = self._own()
        if not self._padded:
            buffer[held:] = fill_value(self._column)
            self._padded = True
        self._clean_rows = self.rows
        return self.rows // self._chunk_rows, buffer, held
