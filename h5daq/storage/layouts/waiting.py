"""Rows that wait for a checkpoint, in the order in which they came: in blocks, or one by one.

A row that comes alone stays the bytes that it came as, and is made an array together with its
neighbours when somebody looks, or when there are many. A block of floats may lie by column, as it
came: it is turned when it is copied anyway. A look at a few rows goes to their block.
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
        """A block of rows, which must not change afterwards.

        Parameters
        ----------
        rows : ndarray
            Of the dtype, or, where that has scalar floats only, of floats: (rows, columns).
        """
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

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start … stop-1``, as far as there are any: a copy."""
        start, stop = max(0, start), min(stop, self.count)
        rows = np.empty(max(0, stop - start), dtype=self.dtype)
        self.copy_to(rows, start)
        return rows

    def copy_to(self, rows: NDArray[Any], start: int) -> None:
        """Fill `rows`, of the dtype, from row `start` on."""
        self._gather()
        done, place = 0, max(0, bisect_right(self._starts, start) - 1)
        while done < len(rows):
            skipped = start + done - self._starts[place]
            piece = self._blocks[place][skipped : skipped + len(rows) - done]
            into = rows[done : done + len(piece)]
            # As floats, where the block is.
            (into if piece.ndim == 1 else into.view("<f8").reshape(piece.shape))[:] = piece
            done, place = done + len(piece), place + 1

    def _gather(self) -> None:
        if self._loose:
            self._starts.append(self.count - len(self._loose))
            self._blocks.append(np.frombuffer(b"".join(self._loose), dtype=self.dtype))
            self._loose = []
