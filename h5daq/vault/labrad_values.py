"""What Python has no type for but LabRAD data may hold, and which type a Python value has.

Numbers without a unit are plain Python numbers or numpy arrays; with one they are a `Quantity`.
A tuple is a cluster, a list is a list: all of one type, rectangular. Times are aware datetimes in
UTC; a naive one is taken as local time, with the offset that held at that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import LabradError
from h5daq.vault.labrad_tags import (
    MOST_DIMENSIONS,
    MOST_NESTED,
    Cluster,
    Fault,
    LabradType,
    List,
    Scalar,
)

__all__ = ["ErrorValue", "Quantity", "leaves", "type_of"]

_MAX_I, _MAX_W = 2**31, 2**32
_NO_UNIT = frozenset("]{}:")
_ARRAYS = {"b": "b", "i": "i", "u": "w", "f": "v", "c": "c"}


@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """A number or an array of numbers with a unit.

    Attributes
    ----------
    value : float, complex or ndarray
        In terms of `unit`.
    unit : str
        As the tag says it, e.g. ``"mV"``.

    Examples
    --------
    >>> Quantity(1.5, "mV")
    Quantity(value=1.5, unit='mV')
    >>> Quantity([1.0, 2.0], "V") == Quantity((1.0, 2.0), "V")
    True
    """

    value: Any
    unit: str

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Quantity):
            return NotImplemented
        return self.unit == other.unit and np.array_equal(self.value, other.value)

    def __hash__(self) -> int:
        return hash(self.unit)


@dataclass(frozen=True, slots=True)
class ErrorValue:
    """An error as a value: LabRAD's ``E``."""

    code: int
    message: str
    payload: Any = None


def type_of(value: Any, nested: int = 0) -> LabradType:
    """The LabRAD type that a Python value has.

    Raises
    ------
    LabradError
        If it has none: a dict, a ragged or mixed list, an integer of more than 32 bits.
    """
    if nested > MOST_NESTED:
        raise LabradError(f"a value nested more than {MOST_NESTED} deep")
    if isinstance(value, tuple):
        return _cluster(value, nested)
    if isinstance(value, list):
        return _list_type(value, nested)
    if isinstance(value, Quantity):
        return _with_unit(value)
    if isinstance(value, np.ndarray):
        return _array_type(value)
    if isinstance(value, ErrorValue):
        return Fault(type_of(value.payload, nested + 1))
    return Scalar(*_scalar_kind(value))


def _scalar_kind(value: Any) -> tuple[str, str | None]:
    if value is None:
        return "_", None
    if isinstance(value, bool | np.bool_):
        return "b", None
    if isinstance(value, int | np.integer):
        return _integer_kind(int(value), isinstance(value, np.unsignedinteger)), None
    if isinstance(value, float | np.floating):
        return "v", ""
    if isinstance(value, complex | np.complexfloating):
        return "c", ""
    if isinstance(value, datetime):
        return "t", None
    if isinstance(value, str):
        return "s", None
    if isinstance(value, bytes | bytearray | memoryview):
        return "y", None
    raise LabradError(f"LabRAD has no type for a {type(value).__name__}: {value!r:.60}")


def _integer_kind(value: int, unsigned: bool) -> str:
    if -_MAX_I <= value < (0 if unsigned else _MAX_I):
        return "i"
    if 0 <= value < _MAX_W:
        return "w"
    raise LabradError(f"{value} has more than LabRAD's 32 bits; store it as a float or as text")


def _cluster(value: tuple[Any, ...], nested: int) -> Cluster:
    if not value:
        raise LabradError("LabRAD has no empty cluster: an empty tuple can't be stored")
    return Cluster(tuple(type_of(item, nested + 1) for item in value))


def _with_unit(value: Quantity) -> LabradType:
    if not isinstance(value.unit, str) or _NO_UNIT & set(value.unit):
        raise LabradError(f"{value.unit!r} can't stand in a type tag as a unit")
    array = np.asarray(value.value)
    if array.dtype.kind not in "iufc":
        raise LabradError(f"only numbers have a unit, not {value.value!r:.60}")
    return _in_dimensions(array, Scalar("c" if array.dtype.kind == "c" else "v", value.unit))


def _array_type(array: NDArray[Any]) -> LabradType:
    if array.dtype.kind == "U":
        return _list_type(array.tolist(), 0) if array.ndim else Scalar("s")
    kind = _ARRAYS.get(array.dtype.kind)
    if kind is None:
        raise LabradError(f"LabRAD has no type for an array of {array.dtype}")
    if kind == "i" and array.size and int(array.max()) >= _MAX_I:
        kind = "w"
    return _in_dimensions(array, Scalar(kind, "" if kind in "vc" else None))


def _in_dimensions(array: NDArray[Any], scalar: Scalar) -> LabradType:
    if array.ndim > MOST_DIMENSIONS:
        raise LabradError(f"a list has at most {MOST_DIMENSIONS} dimensions")
    return List(scalar, array.ndim) if array.ndim else scalar


# -- lists ------------------------------------------------------------------------------------


def _list_type(value: list[Any], nested: int) -> List:
    found, depth = leaves(value)
    if not found:
        return List(Scalar("_"), depth)
    return List(_common(found, nested), depth)


def leaves(value: list[Any]) -> tuple[list[Any], int]:
    """What stands in a nested list, row by row, and how many lists deep.

    Raises
    ------
    LabradError
        If it is ragged.
    """
    found, depth = value, 1
    while found and isinstance(found[0], list):
        if depth == MOST_DIMENSIONS:
            raise LabradError(f"a list has at most {MOST_DIMENSIONS} dimensions")
        if any(type(row) is not list or len(row) != len(found[0]) for row in found):
            raise LabradError("a list must be rectangular: its rows differ in length or kind")
        found, depth = list(chain.from_iterable(found)), depth + 1
    return found, depth


def _common(values: Sequence[Any], nested: int) -> LabradType:
    kinds = set(map(type, values))
    if kinds == {int}:
        # Only the extremes can change the type, and lists are long.
        values = [min(values), max(values)]
    elif kinds <= {float, str, bool} and len(kinds) == 1:
        values = values[:1]
    types = dict.fromkeys(type_of(value, nested + 1) for value in values)
    return _unify(types)


def _unify(types: Iterable[LabradType]) -> LabradType:
    first, *others = types
    for other in others:
        first = _one_of(first, other)
    return first


def _one_of(a: LabradType, b: LabradType) -> LabradType:
    """The type that holds values of both."""
    if a == b:
        return a
    if isinstance(a, List) and isinstance(b, List) and a.depth == b.depth:
        # An empty list is a list of anything.
        empty = Scalar("_")
        if empty in (a.element, b.element):
            return b if a.element == empty else a
        return List(_one_of(a.element, b.element), a.depth)
    if isinstance(a, Cluster) and isinstance(b, Cluster) and len(a.items) == len(b.items):
        return Cluster(tuple(map(_one_of, a.items, b.items)))
    if {str(a), str(b)} == {"i", "w"}:
        # Whether all of them fit is seen when they are packed.
        return Scalar("w")
    raise LabradError(f"a list must be of one type, and this one has {a} and {b}")
