"""A `Batch`: numbered rows of one job, column by column, on their way to the file.

Rows ``first … first + n - 1`` of one incarnation of a worker. The columns stand in the order of
the job's schema: arrays of shape ``(n, *shape)``, which may be read-only views of a message, and
lists of ``str`` for text. A batch is never changed; cutting it gives another one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from h5daq.flow.block import Block
from h5daq.flow.schema import Schema

__all__ = ["EARLIEST", "LATEST", "Batch", "ColumnData", "Span"]

EARLIEST = -62_135_596_800.0
"""No row is older (seconds since 1970-01-01 UTC: the year 1); calendars end there."""

LATEST = 253_402_300_800.0
"""Each row is younger (seconds: the year 10000)."""

_LONG_TEXT = 64 << 10

_FEW_TIMES = 32
"""So many are looked through by Python before numpy has begun."""

ColumnData = NDArray[Any] | list[str]
"""The values of one column: an array whose first axis counts rows, or strings."""

Rows = slice | NDArray[np.bool_]
"""Which rows: a slice, or one bool per row."""


class Span(NamedTuple):
    """What the times of rows reach over, in UTC seconds; NaN where one of them is none.

    Attributes
    ----------
    oldest, newest : float
        The least and the greatest.
    last : float
        That of the last row, which need not be the newest.
    """

    oldest: float
    newest: float
    last: float


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows of one job.

    Parameters
    ----------
    job : str
        Group of the job.
    inc : int
        Incarnation of the worker, 64 bits.
    first : int
        Number of the first row in that incarnation.
    n : int
        Count of rows.
    columns : tuple of ndarray or list of str
        Values in schema order, ``time`` first.
    block : Block, optional
        Whose columns they are: all of them, and no one else's any more.
    """

    job: str
    inc: int
    first: int
    n: int
    columns: tuple[ColumnData, ...]
    block: Block | None = field(default=None, repr=False)
    _span: Span | None = field(default=None, init=False, repr=False)

    @property
    def end(self) -> int:
        """Number of the row after the last."""
        return self.first + self.n

    def tail(self, skip: int) -> Batch:
        """The rows without the first `skip` ones; the batch itself for 0."""
        return self.part(slice(skip, None)) if skip > 0 else self

    def part(self, rows: Rows) -> Batch:
        """The rows that a slice or a mask picks.

        ``first`` is right for a slice without a step. A mask may pick rows that don't stand side
        by side; they keep the number of the first of them.
        """
        chosen = np.arange(self.n)[rows]
        shift = int(chosen[0]) if len(chosen) else _empty_at(rows, self.n)
        columns = tuple(_pick(column, rows, chosen) for column in self.columns)
        return Batch(self.job, self.inc, self.first + shift, len(chosen), columns)

    def times(self) -> NDArray[np.float64]:
        """UTC seconds since 1970-01-01 of each row, float64, also where nanoseconds are kept."""
        time = np.asarray(self.columns[0])
        if time.dtype.kind == "i":
            return np.asarray(time / 1e9, np.float64)
        return time.astype(np.float64, copy=False)

    @property
    def span(self) -> Span:
        """What its times reach over, found once; not for a batch without rows."""
        if self._span is None:
            # Both ledgers ask for it, the planner and the file; the rows never change.
            object.__setattr__(self, "_span", _span(self.times()))
        assert self._span is not None
        return self._span

    def last_row(self, schema: Schema, max_elements: int = 64) -> dict[str, Any]:
        """The newest row as plain Python values, by label; empty for a batch without rows.

        Parameters
        ----------
        schema : Schema
            Of the job.
        max_elements : int
            Arrays with more elements are left out, and so are texts of over 64 Ki characters.

        Returns
        -------
        dict
            Numbers, strings and (nested) lists; complex numbers as ``[real, imaginary]``.
        """
        if not self.n:
            return {}
        pairs = zip(schema.columns, self.columns, strict=True)
        small = (
            (column.label, values[self.n - 1])
            for column, values in pairs
            if math.prod(column.shape) <= max_elements
        )
        return {label: _plain(value) for label, value in small if not _is_long(value)}


def _span(times: NDArray[np.float64]) -> Span:
    if len(times) > _FEW_TIMES:
        return Span(float(times.min()), float(times.max()), float(times[-1]))
    values: list[float] = times.tolist()
    # Python's min may pass over a NaN; a sum does not.
    if math.isnan(sum(values)):
        return Span(math.nan, math.nan, values[-1])
    return Span(min(values), max(values), values[-1])


def _empty_at(rows: Rows, n: int) -> int:
    return min(rows.indices(n)[0], n) if isinstance(rows, slice) else 0


def _pick(column: ColumnData, rows: Rows, chosen: NDArray[np.intp]) -> ColumnData:
    if isinstance(column, list):
        return column[rows] if isinstance(rows, slice) else [column[int(i)] for i in chosen]
    return column[rows]


def _is_long(value: Any) -> bool:
    return isinstance(value, str | bytes) and len(value) > _LONG_TEXT


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(element) for element in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, complex):
        return [value.real, value.imag]
    return value
