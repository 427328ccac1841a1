"""Rows as users give and get them, as columns of the wire, and back. No loop over rows.

What a column of the dataset can hold is the writer's to check; here it is only made sure that there
are columns of numbers or texts at all, and that no request gets larger than a message may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import BadData
from h5daq.flow.packing import MAX_LENGTH
from h5daq.flow.vaultwire import MAX_PAGE_BYTES, Field

__all__ = [
    "as_array",
    "as_table",
    "from_columns",
    "from_floats",
    "from_rows",
    "joined",
    "pages",
    "size_of",
    "structured",
]

_NUMBERS = "biufc"


def from_floats(given: Any) -> list[Field]:
    """What `add` takes, one row or several, as one column of rows; of nothing, no columns.

    Raises
    ------
    BadData
        If it is no table of numbers.

    Examples
    --------
    >>> from_floats([1.0, 2.0])[0].shape, from_floats([[1, 2], [3, 4]])[0].dtype.str
    ((1, 2), '<f8')
    """
    array = _array(given, "add takes a row or a table of real numbers")
    if array.shape == (0,):
        return []
    table = np.atleast_2d(array)
    if table.ndim != 2 or table.dtype.kind not in "biuf":
        raise BadData(
            f"add takes a row or a table of real numbers, not {array.dtype} of shape {array.shape}"
        )
    return [np.ascontiguousarray(table, dtype="<f8")]


def from_rows(given: Any) -> list[Field]:
    """What `add_ex` takes (tuples, or a structured array) as columns.

    Raises
    ------
    BadData
        If it is no list of rows of equal length.

    Examples
    --------
    >>> from_rows([(1, "a", [0.5, 1.5]), (2, "b", [2.5, 3.5])])[1]
    ['a', 'b']
    """
    if isinstance(given, np.ndarray):
        if given.dtype.names:
            return from_columns([given[name] for name in given.dtype.names])
        if given.ndim == 2:
            return from_columns(list(given.T))
    try:
        return from_columns(list(zip(*given, strict=True)))
    except (TypeError, ValueError) as error:
        raise BadData(f"add_ex takes a list of rows of equal length: {error}") from error


def from_columns(given: Any) -> list[Field]:
    """What `add_ex_t` takes, an array or list per column.

    Raises
    ------
    BadData
        If a column holds neither numbers nor texts, or they differ in length.
    """
    if isinstance(given, str | bytes) or not np.iterable(given):
        raise BadData(f"add_ex_t takes an array or list per column, not {given!r:.60}")
    columns = [_column(place, values) for place, values in enumerate(given)]
    lengths = sorted({len(column) for column in columns})
    if len(lengths) > 1:
        raise BadData(f"the columns differ in length: {lengths}")
    return columns


def _column(place: int, values: Any) -> Field:
    if isinstance(values, np.ndarray) and values.dtype.kind in "UO" and values.ndim == 1:
        values = values.tolist()
    # Texts are no array on the way: a long one would make room for all to be as long.
    if isinstance(values, list | tuple) and values and isinstance(values[0], str):
        if set(map(type, values)) != {str}:
            raise BadData(f"column {place} holds texts and other things: {values!r:.60}")
        return list(values)
    array = _array(values, f"column {place} wants numbers of one shape, or texts")
    if not array.ndim or array.dtype.kind not in _NUMBERS:
        raise BadData(f"column {place} holds neither numbers nor texts: {values!r:.60}")
    return array


def _array(values: Any, what: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadData(f"{what}, and this can't be made one: {error}") from error


def joined(pieces: Sequence[Sequence[Field]]) -> list[Field]:
    """The columns of several pieces, one after the other; each has the same columns."""
    if len(pieces) == 1:
        return list(pieces[0])
    return [_joined(column) for column in zip(*pieces, strict=True)]


def _joined(parts: Sequence[Field]) -> Field:
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if arrays:
        return np.concatenate(arrays)
    return [text for part in parts for text in part]


def pages(columns: list[Field]) -> Iterator[list[Field]]:
    """Columns in stretches of rows that fit into a message each."""
    rows = len(columns[0]) if columns else 0
    if rows < 2 or _fits(columns, rows):
        yield columns
        return
    half = rows // 2
    yield from pages([column[:half] for column in columns])
    yield from pages([column[half:] for column in columns])


def _fits(columns: Sequence[Field], rows: int) -> bool:
    return size_of(columns) <= MAX_PAGE_BYTES and (
        rows <= MAX_LENGTH or not any(isinstance(column, list) for column in columns)
    )


def size_of(columns: Sequence[Field]) -> int:
    """Bytes that they take on the wire, at most."""
    # A character has at most four bytes, a text's length up to five.
    return sum(
        column.nbytes if isinstance(column, np.ndarray) else sum(4 * len(t) + 5 for t in column)
        for column in columns
    )


# -- rows out -------------------------------------------------------------------------------------


def as_table(columns: Sequence[Field]) -> NDArray[np.float64]:
    """Rows of floats, of shape (rows, columns), from one column of rows or from several columns."""
    if len(columns) == 1 and np.ndim(columns[0]) == 2:
        return as_array(columns[0])
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])


def structured(columns: Sequence[Field]) -> NDArray[Any]:
    """Columns as rows with the fields ``f0``, ``f1`` …; texts are objects."""
    arrays = [as_array(column) for column in columns]
    dtype = [(f"f{k}", array.dtype, array.shape[1:]) for k, array in enumerate(arrays)]
    rows = np.empty(len(arrays[0]) if arrays else 0, dtype=dtype)
    for k, array in enumerate(arrays):
        rows[f"f{k}"] = array
    return rows


def as_array(column: Field) -> NDArray[Any]:
    """A column as an array of one's own; texts as an array of objects."""
    if isinstance(column, np.ndarray):
        # As it came it is a view of the message.
        return column if column.flags.writeable else column.copy()
    texts = np.empty(len(column), dtype=object)
    texts[:] = column
    return texts
