"""Dimension scales: how xarray, netCDF and others learn which dataset is an axis of which.

``time`` is the scale of axis 0 of all columns of a job. The netCDF readers refuse a dataset that
has scales on some axes only, so the other axes of arrays get one too: a dataset without values
(and without storage) at the root, ``dim_<size>``, shared by all jobs, in the form that netCDF
itself uses for "a dimension, but not a variable". It stands at the root, where netCDF finds the
dimensions of all groups below, so that a job's group holds its columns and nothing else.

Scale and dataset name each other in attributes (HDF5 Dimension Scale Specification). HDF5's own
call writes the scale's list anew, one entry longer, for each dataset, and leaves the old ones as
holes in the header. So for ``time`` the attributes are written here, each once: the datasets' when
they are made, the list when all are there, in the room that was set aside for it.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5s, h5t

__all__ = ["TimeScale"]

_NOT_A_VARIABLE = "This is a netCDF dimension but not a netCDF variable.{:10d}"
_LIST = "REFERENCE_LIST"
_SCALES = h5py.vlen_dtype(h5py.ref_dtype)
_ENTRY = np.dtype(
    {
        "names": ["dataset", "dimension"],
        "formats": [h5py.ref_dtype, np.uint32],
        "offsets": [0, 8],
        "itemsize": 16,
    }
)


class TimeScale:
    """The time column of a new group, as the scale of axis 0 of its other columns.

    Parameters
    ----------
    file : h5py.File
        The file, open for writing.
    time : h5py.Dataset
        The time column.
    columns : int
        How many others there will be; room is kept for their list.
    """

    def __init__(self, file: h5py.File, time: h5py.Dataset, columns: int) -> None:
        self._file, self._time = file, time
        self._scaled: list[h5py.Reference] = []
        self._scale = np.array([time.ref], h5py.ref_dtype)
        self._none = np.array([], h5py.ref_dtype)
        time.make_scale("time")
        if columns:
            _attribute(time, _LIST, _ENTRY, columns)

    def attach(self, dataset: h5py.Dataset) -> None:
        """Make it the scale of a new dataset, and give the other axes one of their own."""
        self._scaled.append(dataset.ref)
        rank = dataset.id.rank
        axes = np.empty(rank, _SCALES)
        axes[:] = [self._scale, *[self._none] * (rank - 1)]
        _attribute(dataset, "DIMENSION_LIST", _SCALES, rank).write(axes)
        if rank > 1:
            self._attach_others(dataset)

    def _attach_others(self, dataset: h5py.Dataset) -> None:
        used: list[int] = []
        for axis, size in enumerate(dataset.shape[1:], start=1):
            dataset.dims[axis].attach_scale(_dimension(self._file, size, used.count(size)))
            used.append(size)

    def finish(self) -> None:
        """Write the list of the datasets, which are all there now."""
        if self._scaled:
            entries = np.zeros(len(self._scaled), _ENTRY)
            entries["dataset"] = self._scaled
            self._time.attrs.modify(_LIST, entries)


def _attribute(dataset: h5py.Dataset, name: str, dtype: Any, length: int) -> h5a.AttrID:
    form = h5t.py_create(dtype, logical=True)
    return h5a.create(dataset.id, name.encode(), form, h5s.create_simple((length,)))


def _dimension(file: h5py.File, size: int, repeat: int) -> h5py.Dataset:
    """The scale for axes of `size`; `repeat` counts equal ones of the same dataset."""
    name = f"dim_{size}_{repeat}" if repeat else f"dim_{size}"
    if name not in file:
        scale = file.create_dataset(name, (size,), ">f4")
        h5py.h5ds.set_scale(scale.id, _NOT_A_VARIABLE.format(size).encode())
        return scale
    scale = file[name]
    if not isinstance(scale, h5py.Dataset):
        raise ValueError(f"the group {name!r} stands where the file needs a dimension")
    return scale
