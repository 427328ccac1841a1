"""The memory of a batch, in which its message is made where the rows stand.

A `Block` has one column behind the other, as the wire wants the numbers of a full batch, and room
before them. Once all rows are stored, the beginning of the message is written into that room, and
what was a buffer is the message: none of its numbers is copied, and no other memory touched.

From then on the memory is the message's, which may wait long for the writer, so whoever has filled
a block goes on with another one. A message is made of it only once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from h5daq.flow.schema import Schema

if TYPE_CHECKING:
    from h5daq.flow.batch import ColumnData

__all__ = ["Block"]

_ROOM = 2048
"""Bytes before the numbers: the longest name of a job takes half, the rest is for a little text."""

_LARGE_BYTES, _FEW_COLUMNS = 64 << 10, 4
"""A column of so many bytes costs more to copy than it costs to lay out another one for the next
rows; and what is below that in `_FEW_COLUMNS` of them is not worth while."""


class Block:
    """Columns with room for some rows.

    Parameters
    ----------
    schema : Schema
        Of the job.
    rows : int
        How many.

    Attributes
    ----------
    columns : list of ndarray or list of str
        Shape ``(rows, *shape)`` each, in schema order. Their numbers are not aligned, as they are
        not in a message; texts have no place there and stand beside.
    nbytes : int
        Of all numbers.

    Examples
    --------
    >>> block = Block(Schema.of([]), 2)
    >>> block.columns[0][:] = 1.0, 2.0
    >>> message = block.message(b"head")
    >>> bytes(message[:4]), np.frombuffer(message[4:]).tolist(), block.message(b"another")
    (b'head', [1.0, 2.0], None)
    """

    def __init__(self, schema: Schema, rows: int) -> None:
        self.nbytes = rows * sum(column.row_bytes for column in schema.binary)
        self._memory = np.empty(_ROOM + self.nbytes, np.uint8).data
        self._room = _ROOM
        self.columns = self._columns(schema, rows)

    def _columns(self, schema: Schema, rows: int) -> list[ColumnData]:
        columns: list[ColumnData] = []
        offset = _ROOM
        for column in schema.columns:
            if column.is_text:
                columns.append([""] * rows)
                continue
            shape = (rows, *column.shape)
            columns.append(np.ndarray(shape, column.dtype, self._memory, offset))
            offset += rows * column.row_bytes
        return columns

    @property
    def is_large(self) -> bool:
        """Whether it is worth while to make a message of it, and not of a copy."""
        return self.nbytes >= _LARGE_BYTES * max(_FEW_COLUMNS, len(self.columns))

    def message(self, opening: bytes) -> memoryview | None:
        """The message that begins so and ends with the numbers, read-only.

        Parameters
        ----------
        opening : bytes
            All that stands before the numbers.

        Returns
        -------
        memoryview or None
            None if there is no room for the opening, or a message already.
        """
        start = self._room - len(opening)
        if start < 0:
            return None
        self._memory[start : self._room] = opening
        self._room = 0
        return self._memory[start:].toreadonly()
