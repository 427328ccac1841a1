"""The values and columns of a job as its dataset has them, from files and from batches alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.flow.job_columns import JobVariable, job_variable
from h5daq.flow.schema import TIME, Schema
from h5daq.storage.runs.columns import filler
from h5daq.storage.runs.contents import ColumnInfo, GroupInfo

__all__ = ["as_told", "info_of", "nothing_of", "to_chunk", "values_of", "variable_of", "whole"]


def to_chunk(start: int, most: int, chunk: int) -> int:
    """Rows from `start` on up to the end of a chunk: not many more than `most`, or just that.

    Examples
    --------
    >>> to_chunk(0, 100, 30), to_chunk(20, 100, 150), to_chunk(20, 100, 1000)
    (90, 130, 100)
    """
    end = (start + most) // chunk * chunk
    end = end if end > start else (start // chunk + 1) * chunk
    return end - start if end - start <= 2 * most else most


def variable_of(info: ColumnInfo) -> JobVariable:
    """How a column is told."""
    if info.label == TIME:
        # Files say "seconds since …", as CF has it.
        return job_variable(TIME, info.dtype, (), "s" if info.dtype.kind == "f" else "")
    return job_variable(info.label, info.dtype, info.shape, info.unit, info.description)


def info_of(group: str, schema: Schema) -> GroupInfo:
    """The columns of a schema as a file would describe them."""
    columns = {
        column.label: ColumnInfo(
            column.label, column.dtype, column.shape, column.unit, column.description
        )
        for column in schema.columns
    }
    return GroupInfo(group, 0, columns, {})


def nothing_of(info: ColumnInfo) -> NDArray[Any]:
    """No values of a column."""
    return np.empty((0, *info.shape), info.dtype)


def values_of(given: Any, info: ColumnInfo, rows: slice) -> NDArray[Any]:
    """Values of a batch; None where it has no such column."""
    if given is None:
        count = rows.stop - rows.start
        return np.full((count, *info.shape), filler(info.dtype), info.dtype)
    if not isinstance(given, list):
        return np.asarray(given[rows])
    texts = np.empty(rows.stop - rows.start, dtype=object)
    texts[:] = given[rows]
    return texts


def whole(parts: list[NDArray[Any]], info: ColumnInfo) -> NDArray[Any]:
    """The values of all stretches, with the dtype that holds them."""
    found = [part for part in parts if len(part)] or parts[:1]
    values = found[0] if len(found) == 1 else np.concatenate(found)
    return values.astype(info.dtype, copy=False)


def as_told(values: NDArray[Any], info: ColumnInfo) -> NDArray[Any]:
    """A column as `job_variable` describes it."""
    if info.shape == (1,):
        values = values.reshape(len(values))
    if info.dtype.kind != "S":
        return values
    if info.shape:
        flat = np.ascontiguousarray(values).view(np.uint8)
        return flat.reshape(len(values), *info.shape, info.dtype.itemsize)
    texts = np.empty(len(values), dtype=object)
    texts[:] = [value.decode("utf-8", "replace") for value in values.tolist()]
    return texts
