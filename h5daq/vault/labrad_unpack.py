"""From LabRAD bytes to Python values, directed by the type.

Lengths are checked against the bytes that are there before anything is allocated, so that a few
damaged bytes can't ask for all the memory.
"""

from __future__ import annotations

import math
import struct
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from h5daq.errors import LabradError
from h5daq.vault.labrad_pack import EPOCH, NUMBERS, Order
from h5daq.vault.labrad_tags import Cluster, Fault, LabradType, List, Scalar
from h5daq.vault.labrad_values import ErrorValue, Quantity

__all__ = ["Cursor", "unpack"]

MOST_EMPTY = 1 << 20
"""Elements and rows of a list that take no bytes."""

_WIDTHS = {"_": 0, "?": 0, "b": 1, "i": 4, "w": 4, "s": 4, "y": 4, "t": 16, "v": 8, "c": 16}
"""Least bytes of a scalar."""


class Cursor:
    """A place in bytes, in one byte order (``">"`` or ``"<"``)."""

    def __init__(self, data: memoryview, order: Order) -> None:
        self._data, self._at = data, 0
        self.order = order

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self._data) - self._at

    def take(self, count: int) -> memoryview:
        """The next bytes."""
        if not 0 <= count <= self.left:
            raise LabradError(f"{count} bytes should follow, and {self.left} are there")
        self._at += count
        return self._data[self._at - count : self._at]

    def numbers(self, letters: str) -> tuple[int, ...]:
        """The next integers, in `struct`'s letters."""
        return struct.unpack(self.order + letters, self.take(struct.calcsize(f"={letters}")))


def unpack(cursor: Cursor, kind: LabradType) -> Any:
    """The next value.

    Raises
    ------
    LabradError
        If the bytes end too soon, or are none of the type.
    """
    if isinstance(kind, Cluster):
        return tuple(unpack(cursor, item) for item in kind.items)
    if isinstance(kind, List):
        return _list(cursor, kind)
    if isinstance(kind, Fault):
        code, message = unpack(cursor, Scalar("i")), unpack(cursor, Scalar("s"))
        return ErrorValue(code, message, unpack(cursor, kind.payload))
    if kind.kind in NUMBERS:
        return _with_unit(_array(cursor, kind, ()).item(), kind)
    return _other(cursor, kind)


def _other(cursor: Cursor, kind: Scalar) -> Any:
    if kind.kind == "_":
        return None
    if kind.kind == "t":
        return _time(*cursor.numbers("QQ"))
    if kind.kind == "?":
        raise LabradError("data of type ? can't be read: the bytes don't say what they are")
    data = bytes(cursor.take(cursor.numbers("I")[0]))
    return _text(data) if kind.kind == "s" else data


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        # Python 2 wrote any bytes as text; pylabrad hands them out like this too.
        return data


def _time(seconds: int, fraction: int) -> datetime:
    try:
        return EPOCH + timedelta(seconds=seconds, microseconds=round(fraction / 2**64 * 1e6))
    except OverflowError as error:
        raise LabradError(f"a time of {seconds} s after 1904 is out of range") from error


def _with_unit(value: Any, kind: Scalar) -> Any:
    return Quantity(value, kind.unit) if kind.unit else value


def _array(cursor: Cursor, kind: Scalar, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    dtype = np.dtype(NUMBERS[kind.kind])
    data = cursor.take(math.prod(shape) * dtype.itemsize)
    array = np.frombuffer(data, dtype.newbyteorder(cursor.order)).reshape(shape)
    return array != 0 if kind.kind == "b" else array.astype(dtype)


def _list(cursor: Cursor, kind: List) -> Any:
    shape = cursor.numbers(f"{kind.depth}I")
    _check_shape(cursor, shape, kind)
    element = kind.element
    if isinstance(element, Scalar) and element.kind in NUMBERS:
        return _with_unit(_array(cursor, element, shape), element)
    return _nested(cursor, shape, element)


def _check_shape(cursor: Cursor, shape: tuple[int, ...], kind: List) -> None:
    width = _least_width(kind.element)
    if math.prod(shape) * width > cursor.left:
        raise LabradError(f"a list of shape {shape} of {kind.element} in {cursor.left} bytes")
    empty = math.prod(length or 1 for length in shape)
    if (width == 0 or 0 in shape) and empty > MOST_EMPTY:
        raise LabradError(f"a list of shape {shape} that takes no bytes")


def _least_width(kind: LabradType) -> int:
    if isinstance(kind, Cluster):
        return sum(map(_least_width, kind.items))
    if isinstance(kind, List):
        return 4 * kind.depth
    return 8 if isinstance(kind, Fault) else _WIDTHS[kind.kind]


def _nested(cursor: Cursor, shape: tuple[int, ...], element: LabradType) -> list[Any]:
    length, *rest = shape
    if rest:
        return [_nested(cursor, tuple(rest), element) for _ in range(length)]
    return [unpack(cursor, element) for _ in range(length)]
