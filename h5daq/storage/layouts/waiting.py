"""Rows that wait for a checkpoint, in the order in which they came: in blocks, or one by one.

A row that comes alone stays the bytes that it came as, and is made an array together with its
neighbours when somebody looks, or when there are many. A look at a few rows goes to their block.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Waiting"]

_MOST_LOOSE = 1024


class Waiting:
    """Rows of one dtype.

    Parameters
    ----------
    dtype : numpy.dtype
        Of a row.

    Attributes
    ----------
    count : int
        Rows.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.count = 0
        self._blocks: list[NDArray[Any]] = []
        self._starts: list[int] = []
        self._loose: list[bytes] = []

    @property
    def nbytes(self) -> int:
        """Bytes of the rows; texts count as their references."""
        return self.count * self.dtype.itemsize

    def append(self, rows: NDArray[Any]) -> None:
        """A block of rows, which must not change afterwards."""
        self._gather()
        if len(rows):
            self._starts.append(self.count)
            self._blocks.append(rows)
            self.count += len(rows)

    def append_row(self, data: bytes) -> None:
        """One row as it lies in memory. Not for texts."""
        self._loose.append(data)
        self.count += 1
        if len(self._loose) >= _MOST_LOOSE:
            self._gather()

    def read(self, start: int, stop: int) -> list[NDArray[Any]]:
        """Rows ``start … stop-1``, as far as there are any, in pieces."""
        self._gather()
        start, stop = max(0, start), min(stop, self.count)
        found = []
        place = max(0, bisect_right(self._starts, start) - 1)
        while start < stop:
            first, block = self._starts[place], self._blocks[place]
            piece = block[start - first : stop - first]
            found.append(piece)
            start, place = start + len(piece), place + 1
        return found

    def _gather(self) -> None:
        if self._loose:
            self._starts.append(self.count - len(self._loose))
            self._blocks.append(np.frombuffer(b"".join(self._loose), dtype=self.dtype))
            self._loose = []
