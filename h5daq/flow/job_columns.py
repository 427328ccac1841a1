"""A job's columns as the Data Vault tells them: ``time`` independent, the labels dependent.

Rows keep the dtypes that they were recorded with; the type letter is the nearest one that the vault
has: ``i`` for bools and integers of up to 32 bits, ``t`` for longer ones, ``v`` and ``c`` for
floats and complex numbers of any width, ``s`` for texts. Units are told of all columns, also of
integers; in `row_type` only ``v`` and ``c`` have them. Arrays of byte strings are arrays of
bytes, with their length as the last dimension.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from h5daq.flow.variables import Columns, Variable

__all__ = ["JobColumns", "JobVariable", "job_columns", "job_variable"]

_FLOAT = np.dtype("<f8")
_WIDEST = 4
"""Bytes of the integers of type ``i``; and of those that a float64 holds exactly."""


@dataclass(frozen=True, slots=True)
class JobVariable(Variable):
    """A column of a job, with the dtype of one value."""

    kind: np.dtype[Any] = _FLOAT

    def __post_init__(self) -> None:
        """Whatever a job could record, can be told."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of one entry; arrays are subarrays, texts objects."""
        return self.kind if self.scalar else np.dtype((self.kind, self.shape))

    @property
    def exact(self) -> bool:
        """Whether float64 holds each of its values, and an entry is one."""
        small = self.kind.kind in "biu" and self.kind.itemsize <= _WIDEST
        return self.scalar and (small or self.kind.kind == "f")


@dataclass(frozen=True, slots=True)
class JobColumns(Columns):
    """The columns of a job."""

    @property
    def plain(self) -> bool:
        """Whether `get` can give its rows as an array of float64 without changing a value."""
        return all(isinstance(column, JobVariable) and column.exact for column in self.all)


def job_variable(
    label: str, dtype: np.dtype[Any], shape: tuple[int, ...], unit: str = "", legend: str = ""
) -> JobVariable:
    """How a column is told.

    Examples
    --------
    >>> job_variable("wave", np.dtype("<i2"), (1024,), "mV").tag()
    '*i{1024}'
    >>> job_variable("T", np.dtype("<f4"), (), "K").tag()
    'v[K]'
    """
    if dtype.kind == "S":
        text = not shape
        shape = () if text else (*shape, dtype.itemsize)
        dtype = np.dtype(object if text else np.uint8)
    return JobVariable(label, legend, shape or (1,), _letter(dtype), unit, dtype)


def _letter(dtype: np.dtype[Any]) -> str:
    if dtype.kind in "biu":
        narrow = dtype.itemsize < _WIDEST or dtype == np.int32
        return "i" if narrow else "t"
    return {"f": "v", "c": "c"}.get(dtype.kind, "s")


def job_columns(variables: Iterable[JobVariable]) -> JobColumns:
    """All columns of a job; the first is its ``time``."""
    time, *others = variables
    return JobColumns((time,), tuple(others))
