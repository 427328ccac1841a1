"""From Python values to LabRAD bytes, directed by the type.

Whatever does not fit its type is refused; nothing is rounded, cut or wrapped. The one exception is
LabRAD's own: an integer may stand where a float is wanted.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import LabradError
from h5daq.vault.labrad_tags import Cluster, Fault, LabradType, List, Scalar
from h5daq.vault.labrad_values import ErrorValue, Quantity, leaves, type_of

__all__ = ["EPOCH", "NUMBERS", "Order", "pack"]

Order = Literal["<", ">"]
"""Byte order of numbers and lengths."""

EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
"""LabRAD counts seconds from here, as LabVIEW does."""

NUMBERS = {"b": "u1", "i": "i4", "w": "u4", "v": "f8", "c": "c16"}
"""Element types of lists that are arrays, with their dtypes."""

_TAKES = {"b": "b", "i": "iu", "w": "iu", "v": "iuf", "c": "iufc"}


def pack(out: bytearray, value: Any, kind: LabradType, order: Order) -> LabradType:
    """Append a value's bytes; returns the type they have, without ``?``.

    Raises
    ------
    LabradError
        If the value does not fit the type.
    """
    if isinstance(kind, Cluster):
        return _pack_cluster(out, value, kind, order)
    if isinstance(kind, List):
        return _pack_list(out, value, kind, order)
    if isinstance(kind, Fault):
        return _pack_fault(out, value, kind, order)
    if kind.kind == "?":
        return pack(out, value, type_of(value), order)
    if kind.kind in "sy":
        _pack_bytes(out, value, kind.kind, order)
    elif kind.kind == "t":
        out += _time(value, order)
    elif kind.kind != "_":
        kind = _known(kind, value)
        out += _numbers(value, kind, order, 0).tobytes()
    elif value is not None:
        raise _unfit(value, kind)
    return kind


def _known(kind: Scalar, value: Any) -> Scalar:
    """With the value's own unit, where the type leaves it open: data never do."""
    if kind.kind not in "vc" or kind.unit is not None:
        return kind
    while isinstance(value, list) and value:
        value = value[0]
    return Scalar(kind.kind, value.unit if isinstance(value, Quantity) else "")


def _pack_cluster(out: bytearray, value: Any, kind: Cluster, order: Order) -> Cluster:
    if not isinstance(value, tuple) or len(value) != len(kind.items) or not value:
        raise _unfit(value, kind)
    pairs = zip(value, kind.items, strict=True)
    return Cluster(tuple(pack(out, item, of, order) for item, of in pairs))


def _pack_fault(out: bytearray, value: Any, kind: Fault, order: Order) -> Fault:
    if not isinstance(value, ErrorValue):
        raise _unfit(value, kind)
    pack(out, value.code, Scalar("i"), order)
    pack(out, value.message, Scalar("s"), order)
    return Fault(pack(out, value.payload, kind.payload, order))


def _pack_bytes(out: bytearray, value: Any, kind: str, order: Order) -> None:
    if isinstance(value, str) and kind == "s":
        value = _utf8(value)
    if not isinstance(value, bytes | bytearray | memoryview):
        raise _unfit(value, Scalar(kind))
    data = bytes(value)
    if len(data) >= 2**31:
        raise LabradError(f"{len(data)} bytes in one text; LabRAD has lengths up to 2**31")
    out += struct.pack(f"{order}I", len(data)) + data


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise LabradError(f"{text!r:.60} can't be written as UTF-8: {error.reason}") from error


def _time(value: Any, order: Order) -> bytes:
    if not isinstance(value, datetime):
        raise _unfit(value, Scalar("t"))
    past = value.astimezone(UTC) - EPOCH
    seconds = past.days * 86400 + past.seconds
    if seconds < 0:
        raise LabradError(f"{value} is before 1904, where LabRAD's time begins")
    # In floats, as pylabrad does it, so that the bytes are the same.
    return struct.pack(f"{order}QQ", seconds, int(past.microseconds / 1e6 * 2.0**64))


# -- numbers and lists -------------------------------------------------------------------------


def _numbers(value: Any, kind: Scalar, order: Order, depth: int) -> NDArray[Any]:
    """A number, or an array of `depth` dimensions, with the dtype that it has in the bytes."""
    array = _array(_without_unit(value, kind), kind)
    wanted = np.dtype(NUMBERS[kind.kind])
    if array.size == 0:
        array = array.astype("?" if kind.kind == "b" else wanted)
    if array.ndim != depth or array.dtype.kind not in _TAKES[kind.kind]:
        raise _unfit(value, List(kind, depth) if depth else kind)
    if wanted.kind in "iu":
        _check_range(array, wanted)
    return array.astype(wanted.newbyteorder(order), copy=False)


def _array(value: Any, kind: Scalar) -> NDArray[Any]:
    if isinstance(value, list):
        found, _ = leaves(value)
        # numpy would make numbers of bools, and floats of large integers, without a word.
        bools = not {bool, np.bool_}.isdisjoint(map(type, found))
        if bools != (kind.kind == "b") and found:
            raise _unfit(value, kind)
    try:
        return np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise _unfit(value, kind) from error


def _without_unit(value: Any, kind: Scalar) -> Any:
    if isinstance(value, list) and value and isinstance(leaves(value)[0][0], Quantity):
        return _list_of_quantities(value, kind)
    unit = value.unit if isinstance(value, Quantity) else ""
    if unit != (kind.unit or ""):
        raise LabradError(f"a value in {unit or 'no unit'} where {kind} is wanted")
    return value.value if isinstance(value, Quantity) else value


def _list_of_quantities(value: list[Any], kind: Scalar) -> list[Any]:
    return [
        _list_of_quantities(item, kind) if isinstance(item, list) else _without_unit(item, kind)
        for item in value
    ]


def _check_range(array: NDArray[Any], wanted: np.dtype[Any]) -> None:
    limits = np.iinfo(wanted)
    if array.size and not (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
        raise LabradError(f"{array.min()} … {array.max()} does not fit LabRAD's {wanted.name}")


def _pack_list(out: bytearray, value: Any, kind: List, order: Order) -> LabradType:
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        value = value.tolist()
    if kind.element == Scalar("?"):
        return pack(out, value, type_of(value), order)
    if isinstance(kind.element, Scalar) and kind.element.kind in NUMBERS:
        return _pack_array(out, value, kind, kind.element, order)
    if not isinstance(value, list):
        raise _unfit(value, kind)
    found, depth = leaves(value)
    if depth != kind.depth and found:
        raise _unfit(value, kind)
    out += _lengths(_shape(value, kind.depth), order)
    of: LabradType = kind.element
    for item in found:
        of = pack(out, item, of, order)
    return List(of, kind.depth)


def _pack_array(
    out: bytearray, value: Any, kind: List, element: Scalar, order: Order
) -> LabradType:
    if not isinstance(value, list | np.ndarray | Quantity):
        raise _unfit(value, kind)
    element = _known(element, value)
    if isinstance(value, list) and not leaves(value)[0]:
        out += _lengths(_shape(value, kind.depth), order)
    else:
        array = _numbers(value, element, order, kind.depth)
        out += _lengths(array.shape, order)
        out += array.tobytes()
    return List(element, kind.depth)


def _shape(value: list[Any], depth: int) -> tuple[int, ...]:
    shape: list[int] = []
    row = value
    while isinstance(row, list) and len(shape) < depth:
        shape.append(len(row))
        row = row[0] if row else []
    return tuple(shape)


def _lengths(shape: tuple[int, ...], order: Order) -> bytes:
    if any(length >= 2**31 for length in shape):
        raise LabradError(f"a list of shape {shape}; LabRAD has lengths up to 2**31")
    return struct.pack(f"{order}{len(shape)}I", *shape)


def _unfit(value: Any, kind: LabradType) -> LabradError:
    return LabradError(f"{value!r:.60} ({type(value).__name__}) does not fit the type {kind}")
