"""Folding: of a stretch of rows that differ in nothing but time, the first and the last are kept.

d0 d0 d0 d1 d1 d2 becomes d0 d0 d1 d1 d2. The last row of a stretch is known only when another
comes, so the newest equal row is held back; `release` gives it out at a rollover and at the end.

NaN equals NaN here, or a broken sensor's column would never fold.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from h5daq.flow.rows import Row, check_row
from h5daq.flow.schema import Schema

__all__ = ["Fold"]


class Fold:
    """Stands in front of a `RowBuffer`, which gets what `offer` and `release` give::

        for t, entries in fold.offer(time(), getter()):
            buffer.append(t, entries)

    Parameters
    ----------
    schema : Schema
        Of the job.

    Attributes
    ----------
    folded : int
        Rows that were left out so far; they are no loss.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._last: Row | None = None
        self._held: Row | None = None
        self.folded = 0

    def offer(self, t: float | None, result: Any) -> list[tuple[Any, Row]]:
        """Take one reading (as `RowBuffer.append` does) and give the rows to append, if any.

        Raises
        ------
        ReadingError
            If the row does not fit the schema; what is held stays as it was.
        """
        row = check_row(self._schema, t, result)
        if row is None:
            return []
        row = tuple(v.copy() if isinstance(v, np.ndarray) else v for v in row)
        if self._last is not None and _equal(self._last[1:], row[1:]):
            self.folded += self._held is not None
            self._held = row
            return []
        rows = [*self.release(), (row[0], row[1:])]
        self._last = row
        return rows

    def release(self) -> list[tuple[Any, Row]]:
        """The row that is held back, if there is one; the stretch goes on."""
        held, self._held = self._held, None
        return [] if held is None else [(held[0], held[1:])]


def _equal(a: Row, b: Row) -> bool:
    return all(_equal_values(x, y) for x, y in zip(a, b, strict=True))


def _equal_values(a: Any, b: Any) -> bool:
    if isinstance(a, str):
        return bool(a == b)
    return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
