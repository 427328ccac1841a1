"""Rows as they come from a user, checked and turned into one array, before anything is written.

What does not fit its column exactly is refused, all rows of it: 2**31 in an int32 column, 1.7 in
any integer column, a text with a NUL. Nothing wraps, rounds or is half written. Work goes by
column, in numpy: there is no loop over rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import BadArgument, BadData, DataVersionMismatch
from h5daq.flow.variables import Columns, Variable, check_text

__all__ = ["check_plain", "floats", "from_columns", "from_floats", "from_rows"]

_TAKES = {"i": "iuf", "t": "iuf", "v": "iuf", "c": "iufc"}
"""Kinds of numbers that a column may be given: a float in an integer column must be whole."""

_WORDS = {
    "i": "integers of 32 bits",
    "t": "integers of 64 bits",
    "v": "real numbers",
    "c": "numbers",
    "s": "texts",
}


def from_floats(columns: Columns, given: Any) -> NDArray[Any]:
    """Rows of a dataset of floats: one row, or a list or array of rows.

    Parameters
    ----------
    columns : Columns
        All of them scalar floats.
    given : array_like
        Shape (columns,) or (rows, columns).

    Returns
    -------
    ndarray
        One-dimensional, of the columns' dtype.

    Raises
    ------
    DataVersionMismatch
        If the columns are not floats.
    BadData
        If it has another number of columns, or what is no real number.
    """
    check_plain(columns)
    array = _array(given, "rows")
    if array.size == 0 and array.ndim <= 2:
        return np.empty(0, dtype=columns.dtype)
    table = np.atleast_2d(array)
    if table.ndim != 2 or table.shape[1] != len(columns.all):
        raise BadData(
            f"rows of {len(columns.all)} numbers are wanted, and the shape is {array.shape}"
        )
    if table.dtype.kind not in _TAKES["v"]:
        raise BadData(f"real numbers are wanted, not {table.dtype}")
    # A copy: rows wait for a checkpoint, and the user may go on to use his array meanwhile.
    return np.array(table, dtype="<f8", order="C").view(columns.dtype).reshape(-1)


def check_plain(columns: Columns) -> None:
    """Raise `DataVersionMismatch` unless all columns are scalar floats."""
    if not columns.plain:
        raise DataVersionMismatch("add takes floats only; use add_ex for this dataset's columns")


def from_rows(columns: Columns, given: Any) -> NDArray[Any]:
    """Rows from a list of tuples, a structured array, or an array of numbers.

    Raises
    ------
    BadData
        If a row has another number of values, or a value doesn't fit its column.
    """
    if isinstance(given, np.ndarray) and given.dtype.names:
        return from_columns(columns, [given[name] for name in given.dtype.names])
    if isinstance(given, np.ndarray) and given.ndim == 2:
        return from_columns(columns, list(given.T))
    try:
        rows = list(given)
        fields = list(zip(*rows, strict=True))
    except (TypeError, ValueError) as error:
        raise BadData(f"a list of rows of {len(columns.all)} values is wanted: {error}") from error
    if not rows:
        return np.empty(0, dtype=columns.dtype)
    return from_columns(columns, fields)


def from_columns(columns: Columns, given: Sequence[Any]) -> NDArray[Any]:
    """Rows from one array or list per column, all of one length.

    Raises
    ------
    BadData
        If there are more or fewer, of different lengths, or a value doesn't fit its column.
    """
    fields = _list(given, f"{len(columns.all)} columns are wanted")
    if len(fields) != len(columns.all):
        raise BadData(f"{len(columns.all)} columns are wanted, not {len(fields)}")
    pairs = zip(columns.all, fields, strict=True)
    checked = [_column(variable, values) for variable, values in pairs]
    lengths = {len(values) for values in checked}
    if len(lengths) != 1:
        raise BadData(f"the columns differ in length: {sorted(lengths)}")
    rows = np.empty(lengths.pop(), dtype=columns.dtype)
    for k, values in enumerate(checked):
        rows[f"f{k}"] = values
    return rows


def floats(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Rows of scalar floats as an array of shape (rows, columns)."""
    names = rows.dtype.names or ()
    return np.ascontiguousarray(rows).view("<f8").reshape(len(rows), len(names))


# -- one column ---------------------------------------------------------------------------------


def _column(variable: Variable, values: Any) -> NDArray[Any]:
    if variable.type == "s":
        return _texts(variable, values)
    array = _array(values, f"column {variable.label!r}")
    shape = () if variable.scalar else variable.shape
    if array.size == 0 and array.shape[:1] == (0,):
        return np.empty((0, *shape), dtype=array.dtype)
    if array.ndim == 0 or array.shape[1:] != shape:
        raise BadData(
            f"column {variable.label!r} wants entries of shape {shape}, not {array.shape[1:]}"
        )
    if array.dtype.kind not in _TAKES[variable.type]:
        raise _unfit(variable, f"not {array.dtype}")
    return _whole(variable, array) if variable.type in "it" else array


def _list(values: Any, wanted: str) -> list[Any]:
    if isinstance(values, str | bytes):
        raise BadData(f"{wanted}, not {values!r:.60}")
    try:
        return list(values)
    except TypeError as error:
        raise BadData(f"{wanted}: {error}") from error


def _array(values: Any, what: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadData(f"{what} can't be made an array: {error}") from error


def _whole(variable: Variable, array: NDArray[Any]) -> NDArray[Any]:
    """Integers that fit; floats where they are integers."""
    limits = np.iinfo(np.int32 if variable.type == "i" else np.int64)
    if array.dtype.kind == "f":
        # 2.0**63 is the first float that is too large; NaN is not equal to itself.
        inside = (array >= limits.min) & (array < float(limits.max) + 1)
        if not np.array_equal(array, np.trunc(array)) or not inside.all():
            raise _unfit(variable, f"not {array[~inside | (array != np.trunc(array))][:1]}")
        return array.astype(limits.dtype)
    low, high = int(array.min()), int(array.max())
    if low < limits.min or high > limits.max:
        raise _unfit(variable, f"and these reach from {low} to {high}")
    return array


def _texts(variable: Variable, values: Any) -> NDArray[Any]:
    texts = _list(values, f"column {variable.label!r} takes a list of texts")
    for kind in set(map(type, texts)):
        if not issubclass(kind, str):
            raise _unfit(variable, f"not {kind.__name__}")
    found = np.empty(len(texts), dtype=object)
    found[:] = texts
    try:
        # All at once: only if there is a bad one among them it is looked for.
        check_text("".join(found), "")
    except BadArgument:
        bad = next(text for text in found if not _sound(text))
        raise _unfit(variable, f"without NUL and half characters: {bad!r:.60}") from None
    return found


def _sound(text: str) -> bool:
    try:
        check_text(text, "")
    except BadArgument:
        return False
    return True


def _unfit(variable: Variable, what: str) -> BadData:
    return BadData(f"column {variable.label!r} takes {_WORDS[variable.type]}, {what}")
