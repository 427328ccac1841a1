"""Kinds of values that a configuration knows beside plain numbers and texts.

Each is an annotated type for a model: a size in bytes (``"16 GiB"``), a dtype, the shape of one
row, the name of a function (``"package.module:name"``), attributes for HDF5. A value of the wrong
kind raises a ``ValueError`` whose text says what is wrong with it; what would be right stands in
the description of the key.
"""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BeforeValidator

from h5daq.config.mistakes import nearest
from h5daq.flow.names import check_job_group
from h5daq.flow.rollover import check_format
from h5daq.flow.schema import Column, check_label

__all__ = [
    "Address",
    "Attrs",
    "Dtype",
    "FileFormat",
    "FilterName",
    "Group",
    "Label",
    "Name",
    "RowShape",
    "Size",
]

_UNITS: dict[str, int] = {
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", 1)},
    **{f"{prefix}B": 10 ** (3 * power) for power, prefix in enumerate("kMGT", 1)},
    "B": 1,
}
_FACTORS = {unit.lower(): factor for unit, factor in _UNITS.items()}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_DTYPES = ("f8", "f4", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "bool", "c16", "text")
_DTYPE_WORDS = (*_DTYPES, "float64", "float32", "int64", "int32", "int16", "int8", "uint16")
_FILTERS = ("gzip", "lzf", "szip")
_TEXT_DTYPES = ("text", "str")


def parse_size(value: object) -> int:
    """Bytes, from a whole number or a text such as ``"16 GiB"`` or ``"500 MB"``.

    >>> parse_size("1.5 KiB")
    1536

    Raises
    ------
    ValueError
        If it is no size of at least one byte.
    """
    size = _bytes(value)
    if size < 1:
        raise ValueError("not a size of at least one byte")
    return size


def _bytes(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    parts = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        raise ValueError("not a size")
    factor = _FACTORS.get(parts[2].lower())
    if factor is None:
        raise ValueError(f"not a size: unknown unit {parts[2]!r} ({', '.join(_UNITS)})")
    return round(float(parts[1]) * factor)


def _check_dtype(value: str) -> str:
    try:
        Column("column", np.dtype(object) if value in _TEXT_DTYPES else np.dtype(value))
    except (TypeError, ValueError) as error:
        near = nearest(value, _DTYPE_WORDS)
        raise ValueError("not a type of column" + f"; nearest: {near!r}" * bool(near)) from error
    return value


def _check_shape(value: list[int]) -> list[int]:
    # A leading 0, the axis along which rows are appended, is how DAQJob has it: taken as well.
    row = value[1:] if value[:1] == [0] else value
    if any(length < 1 for length in row):
        raise ValueError("not the shape of one row: lengths below 1")
    return row


def _check_name(value: str) -> str:
    if _NAME.fullmatch(value):
        return value
    module, dot, name = value.rpartition(".")
    hint = (
        f"; perhaps {module + ':' + name!r}" if dot and _NAME.fullmatch(f"{module}:{name}") else ""
    )
    raise ValueError("not the name of something in a module" + hint)


def _check_filter(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if value not in _FILTERS:
        near = nearest(str(value), _FILTERS)
        raise ValueError("not a filter" + f"; nearest: {near!r}" * bool(near))
    return value


def _check_address(value: str) -> str:
    scheme, _, rest = value.partition("://")
    plain = value.isprintable() and " " not in value
    if scheme not in ("http", "https") or not rest.partition("/")[0] or not plain:
        raise ValueError("not an address of the web")
    return value


def _attr(value: object) -> object:
    if not isinstance(value, list):
        return _attr_item(value)
    items = [_attr_item(item) for item in value]
    kinds = {float if type(item) is int else type(item) for item in items}
    if len(kinds) > 1:
        raise ValueError("a list of mixed kinds, which HDF5 can't keep as an attribute")
    return items


def _attr_item(value: object) -> object:
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if not isinstance(value, str | int | float | bool):
        raise ValueError("not a text, a number, true, false or a list of them")
    return value


Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes."""

Dtype = Annotated[str, AfterValidator(_check_dtype)]
"""What numpy reads as bool, number or ``S<n>``; ``"text"`` for text."""

RowShape = Annotated[list[int], AfterValidator(_check_shape)]
"""Shape of one row; empty for a single value."""

Name = Annotated[str, AfterValidator(_check_name)]
"""Something in a module: ``"package.module:name"``."""

FilterName = Annotated[Any, AfterValidator(_check_filter)]
"""An HDF5 filter: its name, or the registered number of a plugin."""

Address = Annotated[str, AfterValidator(_check_address)]
"""Where something is posted to: ``http://`` or ``https://``."""

Group = Annotated[str, AfterValidator(check_job_group)]
"""An HDF5 group without slashes at its ends."""

Label = Annotated[str, AfterValidator(check_label)]
"""Name of a dataset."""

FileFormat = Annotated[str, AfterValidator(check_format)]
"""Name of the files, with ``{date_from}`` or ``{date_to}``."""

Attrs = dict[str, Annotated[Any, AfterValidator(_attr)]]
"""Attributes for HDF5."""
