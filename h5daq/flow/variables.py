"""The columns of a Data Vault dataset: independent and dependent variables, and their type tags.

A variable has a label, a shape (``(1,)`` is a scalar), one of the types ``i`` (int32), ``s``
(text), ``t`` (int64), ``v`` (float64) and ``c`` (complex128), and a unit where it is a number with
a fraction; a dependent also has a legend. A dataset whose columns are all scalar floats may be
*simple*; any other is *extended*.

The rules are those of the Data Vault guide and the LabRAD project's server; what that server
accepts and can't read back (a shape ``()``, say) is refused here.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from h5daq.errors import BadArgument

__all__ = ["Columns", "Variable", "check_text", "parse_dependent", "parse_independent"]

DTYPES = {"i": "<i4", "t": "<i8", "v": "<f8", "c": "<c16", "s": "O"}
"""The dtype of each type in a row."""

MOST_ROW_BYTES = 1 << 30
"""Bytes of one row; a chunk of HDF5 has to hold it, and memory a few of them."""

_LABEL = re.compile(r"[^\[(]*")
_LEGEND = re.compile(r"\((.*)\)")
_UNIT = re.compile(r"\[(.*)\]")


@dataclass(frozen=True, slots=True)
class Variable:
    """One column.

    Attributes
    ----------
    label, legend, unit : str
        Independent variables have no legend: it is empty.
    shape : tuple of int
        Of one entry; ``(1,)`` is a scalar.
    type : str
        One of ``istvc``.

    Raises
    ------
    BadArgument
        If there is no such column.
    """

    label: str
    legend: str = ""
    shape: tuple[int, ...] = (1,)
    type: str = "v"
    unit: str = ""

    def __post_init__(self) -> None:
        for what in ("label", "legend", "unit"):
            check_text(getattr(self, what), f"the {what} of a column")
        if self.type not in DTYPES:
            raise self._wrong(f"the type {self.type!r}; it is one of i, s, t, v, c")
        if not self.shape or any(length < 1 for length in self.shape):
            raise self._wrong(f"the shape {list(self.shape)}; a scalar has [1]")
        if self.unit and self.type not in "vc":
            raise self._wrong(f"the unit {self.unit!r}; only v and c have units, not {self.type}")
        if self.type == "s" and self.shape != (1,):
            raise self._wrong(f"the shape {list(self.shape)}; a text has [1]")
        if len(self.shape) > 32 or math.prod(self.shape) * 16 > MOST_ROW_BYTES:
            raise self._wrong(f"the shape {list(self.shape)}, which is more than a row can hold")

    def _wrong(self, what: str) -> BadArgument:
        return BadArgument(f"column {self.label!r} has {what}")

    @property
    def scalar(self) -> bool:
        """Whether an entry is one value."""
        return self.shape == (1,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of one entry; arrays are subarrays, texts objects."""
        kind = DTYPES[self.type]
        return np.dtype(kind if self.scalar else (kind, self.shape))

    def tag(self, transposed: bool = False) -> str:
        """Its type in a list of rows, or in a list of columns."""
        element = f"{self.type}[{self.unit}]" if self.type in "vc" else self.type
        shape = "" if self.scalar else ",".join(map(str, self.shape))
        depth = 0 if self.scalar else len(self.shape)
        if not transposed:
            return f"*{depth if depth > 1 else ''}{element}{{{shape}}}" if depth else element
        return f"*{depth + 1}{element}{{N,{shape}}}" if depth else f"*{element}"


@dataclass(frozen=True, slots=True)
class Columns:
    """All columns of a dataset, independent variables first.

    Raises
    ------
    BadArgument
        If there are none, or a row of them is too large.
    """

    independents: tuple[Variable, ...]
    dependents: tuple[Variable, ...]
    # Made once: they are asked for with every row.
    _dtype: np.dtype[Any] = field(init=False, repr=False, compare=False)
    _plain: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.all:
            raise BadArgument("a dataset needs at least one column, independent or dependent")
        kinds = [(f"f{k}", column.dtype) for k, column in enumerate(self.all)]
        plain = all(column.scalar and column.type == "v" for column in self.all)
        object.__setattr__(self, "_dtype", np.dtype(kinds))
        object.__setattr__(self, "_plain", plain)
        if self.dtype.itemsize > MOST_ROW_BYTES:
            raise BadArgument(f"a row of {self.dtype.itemsize} bytes; {MOST_ROW_BYTES} is the most")

    @property
    def all(self) -> tuple[Variable, ...]:
        """Every column, in the order in which a row has them."""
        return self.independents + self.dependents

    @property
    def plain(self) -> bool:
        """Whether all columns are scalar floats, as a simple dataset's are."""
        return self._plain

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of one row, with the fields ``f0``, ``f1`` …"""
        return self._dtype

    @property
    def row_type(self) -> str:
        """LabRAD's type of a list of rows.

        Examples
        --------
        >>> trace = Variable("trace", shape=(3,), unit="mV")
        >>> Columns((Variable("n", type="i"),), (trace,)).row_type
        '*(i,*v[mV]{3})'
        """
        return f"*({','.join(column.tag() for column in self.all)})"

    @property
    def transpose_type(self) -> str:
        """LabRAD's type of the columns.

        Examples
        --------
        >>> trace = Variable("trace", shape=(3,), unit="mV")
        >>> Columns((Variable("n", type="i"),), (trace,)).transpose_type
        '(*i,*2v[mV]{N,3})'
        """
        return f"({','.join(column.tag(True) for column in self.all)})"

    @classmethod
    def simple(cls, independents: Sequence[Any], dependents: Sequence[Any]) -> Columns:
        """Columns of floats, as ``new`` takes them: texts, or tuples without shape and type."""
        return cls(
            tuple(map(parse_independent, independents)), tuple(map(parse_dependent, dependents))
        )

    @classmethod
    def extended(cls, independents: Sequence[Any], dependents: Sequence[Any]) -> Columns:
        """Columns of any type, as ``new_ex`` takes them.

        Parameters
        ----------
        independents : sequence of (label, shape, type, unit)
        dependents : sequence of (label, legend, shape, type, unit)
        """
        whole = [_pick(column, 4, "an independent variable") for column in independents]
        return cls(
            tuple(_variable(label, "", *rest) for label, *rest in whole),
            tuple(_variable(*_pick(column, 5, "a dependent variable")) for column in dependents),
        )


def parse_independent(given: Any) -> Variable:
    """A float column from ``(label, unit)`` or ``"label [unit]"``.

    Examples
    --------
    >>> parse_independent("Frequency [GHz]")
    Variable(label='Frequency', legend='', shape=(1,), type='v', unit='GHz')
    """
    if isinstance(given, str):
        return Variable(_label(given), unit=_inside(_UNIT, given))
    label, unit = _pick(given, 2, "an independent variable")
    return Variable(label, unit=unit)


def parse_dependent(given: Any) -> Variable:
    """A float column from ``(label, legend, unit)`` or ``"label (legend) [unit]"``."""
    if isinstance(given, str):
        return Variable(_label(given), _inside(_LEGEND, given), unit=_inside(_UNIT, given))
    label, legend, unit = _pick(given, 3, "a dependent variable")
    return Variable(label, legend, unit=unit)


def check_text(text: Any, what: str) -> None:
    """Refuse what HDF5 can't hold as text.

    Raises
    ------
    BadArgument
        If it is no text, has a NUL in it or no UTF-8.
    """
    if not isinstance(text, str):
        raise BadArgument(f"{what} must be a text, not {text!r:.60}")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadArgument(f"{what} can't be stored: {text!r:.60} has a NUL or half a character")


def _variable(label: Any, legend: Any, shape: Any, kind: Any, unit: Any) -> Variable:
    try:
        lengths = tuple(operator.index(length) for length in np.atleast_1d(shape))
    except (TypeError, ValueError) as error:
        raise BadArgument(f"column {label!r} has the shape {shape!r:.60}: {error}") from error
    if not isinstance(kind, str):
        raise BadArgument(f"column {label!r} has the type {kind!r:.60}; it is one of i, s, t, v, c")
    return Variable(label, legend, lengths, kind, unit)


def _pick(given: Any, count: int, what: str) -> Sequence[Any]:
    if not isinstance(given, tuple | list) or len(given) != count:
        raise BadArgument(f"{what} is a text or {count} values, not {given!r:.60}")
    return given


def _label(text: str) -> str:
    found = _LABEL.match(text)
    return found.group().strip() if found else ""


def _inside(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found.group(1).strip() if found else ""
