"""Columns of one name in several files, as one.

The files of a run may differ: a job was changed, a column added. Then a column is read with a dtype
that holds them all, and where a file lacks it, floats are NaN, text is empty.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from h5daq.errors import StorageError
from h5daq.storage.runs.contents import ColumnInfo, GroupInfo
from h5daq.storage.runs.rooms import Room

__all__ = ["filler", "joined", "read_range", "read_values"]


def read_values(
    dataset: h5py.Dataset, column: ColumnInfo, rows: slice | NDArray[np.int64]
) -> NDArray[Any]:
    """The values of some rows of an open dataset, shape ``(n, *shape of a row)``."""
    source = dataset.asstr(errors="replace") if column.is_text else dataset
    if isinstance(rows, slice):
        return np.asarray(source[rows])
    # One read and a pick in memory: HDF5 takes point by point many times as long.
    block: NDArray[Any] = np.asarray(source[int(rows[0]) : int(rows[-1]) + 1])
    return np.asarray(block[rows - rows[0]])


def read_range(
    dataset: h5py.Dataset, column: ColumnInfo, start: int, stop: int, room: Room
) -> NDArray[Any]:
    """Rows ``start … stop-1``, as `read_values`, in memory that is there, if it is."""
    into = None
    if not column.is_text and stop <= len(dataset):
        into = room(column.dtype, (stop - start, *column.shape))
    if into is None:
        return read_values(dataset, column, slice(start, stop))
    if into.size:
        dataset.read_direct(into, np.s_[start:stop])
    return into


def filler(dtype: np.dtype[Any]) -> Any:
    """What stands where a file has no such column."""
    return {"f": np.nan, "c": np.nan, "O": "", "S": b""}.get(dtype.kind, 0)


def joined(infos: Sequence[GroupInfo]) -> dict[str, ColumnInfo]:
    """The columns that any of the files has, each with a dtype that holds all its values.

    Raises
    ------
    StorageError
        If there is no such dtype.
    """
    labels = dict.fromkeys(label for info in infos for label in info.columns)
    return {label: _joined(label, infos) for label in labels}


def _joined(label: str, infos: Sequence[GroupInfo]) -> ColumnInfo:
    found = [info.columns.get(label) for info in infos]
    columns = [column for column in found if column is not None]
    dtypes = [column.dtype for column in columns]
    if len(columns) < len(found) and dtypes[0].kind in "biu":
        # An integer has no value that means "not there".
        dtypes.append(np.dtype(np.float64))
    newest = columns[-1]
    dtype = _common(label, dtypes)
    return ColumnInfo(label, dtype, newest.shape, newest.unit, newest.description)


def _common(label: str, dtypes: list[np.dtype[Any]]) -> np.dtype[Any]:
    if all(dtype == dtypes[0] for dtype in dtypes):
        return dtypes[0]
    # Numbers and text have a common dtype for numpy (objects), but not for a reader.
    if not any(dtype.kind == "O" for dtype in dtypes):
        with suppress(TypeError):
            return np.result_type(*dtypes)
    kinds = " and ".join(sorted({str(dtype) for dtype in dtypes}))
    raise StorageError(
        errno.EINVAL, f"column {label!r} is {kinds} in different files: read them one by one"
    )
