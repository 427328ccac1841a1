"""What a getter returned, as checked values: one per column, or one clear `ReadingError`.

The rule is that nothing is lost in silence. Whole numbers may go into floats and a float64 may be
rounded to float32, since its column was declared so; 1.7 into an integer, 300 into an ``i1``, 1e300
into a float32 or a string into a number are refused, and so is any shape but the declared one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import ReadingError
from h5daq.flow.batch import EARLIEST, LATEST, ColumnData
from h5daq.flow.schema import MAX_TEXT_BYTES, Column, Schema

__all__ = [
    "MAX_TEXT_BYTES",
    "Row",
    "check_columns",
    "check_row",
    "check_text",
    "check_times",
    "convert",
    "text_bytes",
]

Row = tuple[Any, ...]
"""One value per column, ``time`` first: numpy scalars or arrays of the column's dtype, or str."""


def check_row(schema: Schema, time: float | None, result: Any) -> Row | None:
    """The row in what a getter returned.

    Parameters
    ----------
    schema : Schema
        Of the job.
    time : float or int or None
        When it was read, in the unit of the ``time`` column; None when the getter gives the time
        as its first entry.
    result : object
        A sequence with one entry per label. Where there is one label, a bare value will do.

    Returns
    -------
    tuple or None
        None for a reading to skip: the getter returned None or nothing.

    Raises
    ------
    ReadingError
        With the cause ``"count"``, ``"shape"``, ``"value"``, ``"time"`` or ``"size"``.
    """
    entries = _entries(result, schema.columns if time is None else schema.columns[1:])
    if entries is None:
        return None
    given = entries if time is None else [time, *entries]
    row = tuple(_value(c, v) for c, v in zip(schema.columns, given, strict=True))
    check_times(np.asarray(row[0]))
    if sum(text_bytes(v) for v in row if isinstance(v, str)) > MAX_TEXT_BYTES:
        raise ReadingError(f"texts of one row exceed {MAX_TEXT_BYTES} bytes", cause="size")
    return row


def check_columns(schema: Schema, columns: Sequence[Any]) -> tuple[list[ColumnData], int]:
    """Many rows at once, time first, as values per column; and how many rows they are.

    Raises
    ------
    ReadingError
        With the cause ``"count"``, ``"shape"``, ``"value"``, ``"time"`` or ``"size"``.
    """
    if not isinstance(columns, list | tuple | np.ndarray) or len(columns) != len(schema.columns):
        found = len(columns) if hasattr(columns, "__len__") else type(columns).__name__
        raise ReadingError(
            f"the getter returned {found} for {len(schema.columns)} columns "
            f"(extend mode): return one array per label, the time first",
            cause="count",
        )
    lengths = [len(values) if hasattr(values, "__len__") else -1 for values in columns]
    if len(set(lengths)) != 1 or lengths[0] < 0:
        raise ReadingError(f"extend mode: columns of lengths {lengths[:8]}", cause="shape")
    pairs = zip(schema.columns, columns, strict=True)
    checked = [_check_column(column, values, lengths[0]) for column, values in pairs]
    check_times(np.asarray(checked[0]))
    return checked, lengths[0]


def _check_column(column: Column, values: Any, n: int) -> ColumnData:
    if not column.is_text:
        shape = (n, *column.shape)
        # An empty list says nothing of the shape of its rows, nor of their dtype.
        return convert(column, values if n else np.empty(shape, column.dtype), shape)
    texts = [check_text(column, value) for value in values]
    if any(text_bytes(text) > MAX_TEXT_BYTES for text in texts):
        raise ReadingError(
            f"label {column.label!r}: a text of over {MAX_TEXT_BYTES} bytes", cause="size"
        )
    return texts


def _value(column: Column, value: Any) -> Any:
    return check_text(column, value) if column.is_text else convert(column, value, column.shape)


# -- entries ---------------------------------------------------------------------------------------


def _entries(result: Any, columns: Sequence[Column]) -> Sequence[Any] | None:
    """One entry per column out of what a getter returned; None for a reading to skip."""
    if isinstance(result, np.ndarray) and not result.ndim:
        result = result[()]
    is_list = isinstance(result, list | tuple | np.ndarray)
    if result is None or (is_list and not len(result)):
        return None
    if len(columns) == 1:
        return [_only(result, columns[0]) if is_list else result]
    if isinstance(result, str | bytes | dict) or not isinstance(result, Iterable):
        raise _count_error(type(result).__name__, columns)
    entries = list(result)
    if len(entries) != len(columns):
        raise _count_error(f"{len(entries)} entries", columns)
    return entries


def _only(result: Any, column: Column) -> Any:
    """The entry for a job's only label: a list's sole element if that fits, else the list."""
    if len(result) != 1:
        return result
    element = result[0]
    try:
        return element if column.is_text or np.shape(element) == column.shape else result
    except ValueError:  # a ragged list has no shape
        return result


def _count_error(found: str, columns: Sequence[Column]) -> ReadingError:
    labels = ", ".join(c.label for c in columns[:8]) + (", …" if len(columns) > 8 else "")
    return ReadingError(
        f"the getter returned {found} for {len(columns)} labels ({labels}): "
        "return a list with one entry for each, or None to skip",
        cause="count",
    )


# -- values ----------------------------------------------------------------------------------------


def check_times(times: NDArray[Any]) -> None:
    """See that times can be told by a calendar.

    Raises
    ------
    ReadingError
        With the cause ``"time"``.
    """
    # Nanoseconds in 64 bits always can. NaN fails both comparisons.
    if times.dtype.kind != "f" or not times.size:
        return
    if not (times.min() >= EARLIEST and times.max() < LATEST):
        raise ReadingError("time must be seconds since 1970-01-01 UTC", cause="time")


def check_text(column: Column, value: Any) -> str:
    """A string that a text column can hold.

    Raises
    ------
    ReadingError
        With the cause ``"value"``.
    """
    if not isinstance(value, str):
        mend = "decode it first" if isinstance(value, bytes) else "return a str"
        raise _value_error(column, f"{type(value).__name__} in a text column: {mend}")
    if "\0" in value:
        raise _value_error(column, "a text with a NUL, which HDF5 can't hold")
    if not value.isascii():
        _check_utf8(column, value)
    return str(value)


def text_bytes(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def _check_utf8(column: Column, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _value_error(column, "a text that can't be written as UTF-8") from error


def convert(column: Column, value: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """A value as an array of the column's dtype and of `shape`; not copied if it is one.

    Raises
    ------
    ReadingError
        With the cause ``"shape"`` or ``"value"``.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ReadingError(f"label {column.label!r}: {error}", cause="shape") from error
    if array.shape != shape:
        found = f"shape {array.shape} instead of {shape}"
        raise ReadingError(f"label {column.label!r}: {found}", cause="shape")
    return array if array.dtype == column.dtype else _cast(column, array)


def _cast(column: Column, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "O":
        array = _numbers(column, array)
    if array.dtype.kind == "U" and column.dtype.kind == "S":
        array = np.char.encode(array, "utf-8")
    if array.dtype.kind not in _SOURCES[column.dtype.kind]:
        raise _value_error(column, f"{array.dtype} in a column of {column.dtype}")
    with np.errstate(all="ignore"):
        cast = array.astype(column.dtype)
        # Where the dtype says that all its values are there, none of them is looked at.
        if not (np.can_cast(array.dtype, column.dtype) or _same(array, cast)):
            raise _value_error(column, f"{_sample(array)} does not fit into {column.dtype}")
    return cast


_SOURCES = {"b": "biu", "i": "biuf", "u": "biuf", "f": "biuf", "c": "biufc", "S": "S"}
"""Kinds of dtypes that may be put into a column, by the column's kind."""


def _same(array: NDArray[Any], cast: NDArray[Any]) -> bool:
    """Whether a cast kept all that it had to keep."""
    if cast.dtype.kind in "fc":
        # Rounding was asked for by the dtype; a number that became infinite was not.
        return bool(np.all(np.isfinite(cast) | ~np.isfinite(array)))
    if cast.dtype.kind in "iu" and array.dtype.kind == "f" and not _in_range(array, cast.dtype):
        return False
    if cast.dtype.kind in "iu" and not np.array_equal(cast < 0, array < 0):
        return False
    return bool(np.all(cast == array))


def _in_range(array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    # 2**63 as a float is a limit that int64 does not reach: hence "<". NaN fails both.
    limits = np.iinfo(dtype)
    return bool(np.all((array >= float(limits.min)) & (array < float(limits.max) + 1)))


def _numbers(column: Column, array: NDArray[Any]) -> NDArray[Any]:
    """Python numbers that numpy has no dtype for: Decimal, Fraction, very large integers."""
    if not all(isinstance(value, Number) for value in array.flat):
        raise _value_error(column, f"{_sample(array)} is no number")
    try:
        return array.astype(np.complex128 if column.dtype.kind == "c" else np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise _value_error(column, f"{_sample(array)}: {error}") from error


def _sample(array: NDArray[Any]) -> str:
    text = repr(array.tolist())
    return text if len(text) < 60 else f"{text[:60]}…"


def _value_error(column: Column, found: str) -> ReadingError:
    return ReadingError(f"label {column.label!r}: {found}", cause="value")
