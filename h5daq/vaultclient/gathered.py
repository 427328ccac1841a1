"""Pages of a reading on their way to one array per column.

What came in a page is copied behind the pages before it as soon as it is there, so that the memory
of one message serves for all of them: to keep a hundred until the end would take twice as long as
to read them. A reading of one page is not copied at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.flow.vaultwire import Field

__all__ = ["Gathered"]

_MOST_AHEAD = 2 << 30
"""Bytes of a column that are made room for at a time, whatever is said to come."""


class Gathered:
    """Columns that grow.

    Examples
    --------
    >>> gathered = Gathered()
    >>> gathered.take([np.array([1, 2]), ["a", "b"]], left=1)
    >>> gathered.take([np.array([3]), ["c"]])
    >>> numbers, texts = gathered.columns()
    >>> numbers.tolist(), texts
    ([1, 2, 3], ['a', 'b', 'c'])
    """

    def __init__(self) -> None:
        self._columns: list[_Column] = []

    def take(self, page: Sequence[Field], left: int = 0) -> None:
        """The next page, after which so many rows will come; each has the same columns.

        Raises
        ------
        ValueError
            If it has not, as where a job was begun anew with others.
        """
        if not self._columns:
            self._columns = [_Column(field) for field in page]
            return
        for column, field in zip(self._columns, page, strict=True):
            column.extend(field, left)

    def clear(self) -> None:
        """Begin anew."""
        self._columns = []

    def columns(self) -> list[Field]:
        """All of it."""
        return [column.whole() for column in self._columns]


class _Column:
    """One of them: first as it came, then an array with room for more, or a list of our own."""

    def __init__(self, first: Field) -> None:
        self._values, self._rows, self._own = first, len(first), False

    def extend(self, more: Field, left: int) -> None:
        if isinstance(self._values, np.ndarray) and isinstance(more, np.ndarray):
            self._values = values = self._with_room(self._values, more, left)
            values[self._rows : self._rows + len(more)] = more
        else:
            texts = self._values if self._own else list(self._values)
            assert isinstance(texts, list)
            texts.extend(more)
            self._values, self._own = texts, True
        self._rows += len(more)

    def _with_room(self, values: NDArray[Any], more: NDArray[Any], left: int) -> NDArray[Any]:
        wanted, dtype = self._rows + len(more), np.result_type(values, more)
        if self._own and dtype == values.dtype and wanted <= len(values):
            return values
        row = max(1, more[:1].nbytes)
        ahead = max(wanted // 2 if self._own else 0, min(left, _MOST_AHEAD // row))
        room = np.empty((wanted + ahead, *values.shape[1:]), dtype)
        room[: self._rows] = values[: self._rows]
        self._own = True
        return room

    def whole(self) -> Field:
        return self._values[: self._rows]
