"""What a job says about its columns, checked and made into a `Schema`.

Users give one value for all labels or a list with one per label: ``dtype``, ``shape``, ``units``,
``descriptions``. All of it is checked here, before anything starts: a wrong kind is a
`JobTypeError` (a ``TypeError``), a wrong length or value a `JobValueError` (a ``ValueError``).

Nothing of the caller's is changed: the lists handed in stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from h5daq.errors import JobTypeError, JobValueError
from h5daq.flow.schema import Column, Schema, check_label

__all__ = ["check_attrs", "labels_of", "schema_of"]

T = TypeVar("T")


def labels_of(label: Any) -> tuple[str, ...]:
    """The labels: one name, or a list, tuple or array of names.

    Examples
    --------
    >>> labels_of("T"), labels_of(["T", "p"])
    (('T',), ('T', 'p'))
    """
    names = (label,) if isinstance(label, str) else _items(label)
    if names is None:
        raise JobTypeError(f"label must be a name or a list of names, not {label!r}")
    if not names:
        raise JobValueError("label is empty: a job needs at least one")
    return tuple(check_label(name) for name in names)


def schema_of(
    labels: Sequence[str],
    shape: Any,
    dtype: Any,
    units: Any = None,
    descriptions: Any = None,
    time_dtype: Any = "float64",
) -> Schema:
    """The columns of a job, time first.

    Parameters
    ----------
    labels : sequence of str
        From `labels_of`.
    shape : tuple or list of tuple
        ``(0, ...)``: the axis along which rows are appended, then the shape of one row.
    dtype : dtype-like or list
        Anything numpy reads as a number, bool, complex or ``S<n>``; ``str`` for text.
    units, descriptions : str or list of str, optional
        As HDF5 attributes ``units`` and ``long_name`` say them.
    time_dtype : dtype-like
        ``float64`` (seconds) or ``int64`` (nanoseconds), since 1970-01-01 UTC.
    """
    n = len(labels)
    shapes = _per_label("shape", shape, n, _is_shape, _row_shape)
    dtypes = _per_label("dtype", dtype, n, _is_one_dtype, _dtype)
    unit_list = _per_label("units", units or "", n, _is_text, _text("units"))
    long_names = _per_label("descriptions", descriptions or "", n, _is_text, _text("descriptions"))
    columns = [
        Column(name, kind, row, unit, long_name)
        for name, kind, row, unit, long_name in zip(
            labels, dtypes, shapes, unit_list, long_names, strict=True
        )
    ]
    return Schema.of(columns, time_dtype)


def check_attrs(attrs: Any) -> dict[str, Any]:
    """Attributes of the job's group as plain scalars, texts and lists.

    Examples
    --------
    >>> check_attrs({"gain": np.float32(2), "pins": np.arange(2)})
    {'gain': 2.0, 'pins': [0, 1]}
    """
    if attrs is None:
        return {}
    if not isinstance(attrs, Mapping):
        raise JobTypeError(f"attrs must be a dict, not {type(attrs).__name__}")
    for name in attrs:
        if not isinstance(name, str):
            raise JobTypeError(f"attrs: the name {name!r} must be a text")
        if not 0 < len(name) < 256 or "\0" in name:
            raise JobValueError(f"attrs: the name {name[:40]!r} is empty, too long or has a NUL")
    return {name: _plain(name, value) for name, value in attrs.items()}


# -- one value for all, or a list -----------------------------------------------------------------


def _items(value: Any) -> tuple[Any, ...] | None:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(value) if isinstance(value, list | tuple) else None


def _per_label(
    name: str, value: Any, n: int, is_one: Callable[[Any], bool], convert: Callable[[Any], T]
) -> list[T]:
    if is_one(value):
        return [convert(value)] * n
    items = _items(value)
    if items is None:
        raise JobTypeError(
            f"{name}={value!r}: give one for all labels or a list with one per label"
        )
    if len(items) != n:
        raise JobValueError(f"{name} has {len(items)} entries for {n} labels")
    return [convert(item) for item in items]


# -- shapes -----------------------------------------------------------------------------------


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) > 0 and all(map(_is_integer, value))


def _row_shape(shape: Any) -> tuple[int, ...]:
    if not _is_shape(shape):
        raise JobTypeError(f"shape {shape!r} must be a tuple of integers like (0,) or (0, 2, 2)")
    rows, *row = (int(extent) for extent in shape)
    if rows != 0:
        wanted = (0, rows, *row)
        raise JobValueError(
            f"shape {tuple(shape)} must begin with 0, the axis along which rows are appended: "
            f"{wanted}"
        )
    if any(extent < 1 for extent in row):
        raise JobValueError(f"shape {tuple(shape)}: after the leading 0, extents must be >= 1")
    return tuple(row)


# -- dtypes -----------------------------------------------------------------------------------


def _is_one_dtype(value: Any) -> bool:
    return not isinstance(value, list | tuple | np.ndarray)


def _dtype(value: Any) -> Any:
    # numpy reads None as float64: more likely it is a mistake. The column judges the rest.
    if value is None:
        raise JobTypeError("dtype None: give a type such as 'f8', 'i2' or str")
    return value


# -- texts and attributes -------------------------------------------------------------------------


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _text(name: str) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise JobTypeError(f"{name}: {value!r} must be a text")
        return value

    return convert


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    if isinstance(value, str) and "\0" in value:
        raise JobValueError(f"attrs: {name!r}: a text with a NUL can't be stored")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise JobValueError(f"attrs: {name!r}: {value} does not fit into 64 bit")
    if isinstance(value, bool | int | float | str):
        return value
    raise JobTypeError(
        f"attrs: {name!r} is {type(value).__name__}: use a number, a text, or a list of them"
    )
