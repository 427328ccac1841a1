"""Dimension scales: how xarray, netCDF and others learn which dataset is an axis of which.

``time`` is the scale of axis 0 of all columns of a job. The netCDF readers refuse a dataset that
has scales on some axes only, so the other axes of arrays get one too: a dataset without values
(and without storage) at the root, ``dim_<size>``, shared by all jobs, in the form that netCDF
itself uses for "a dimension, but not a variable". It stands at the root, where netCDF finds the
dimensions of all groups below, so that a job's group holds its columns and nothing else.
"""

from __future__ import annotations

import h5py

__all__ = ["attach_scales"]

_NOT_A_VARIABLE = "This is a netCDF dimension but not a netCDF variable.{:10d}"


def attach_scales(file: h5py.File, time: h5py.Dataset, datasets: list[h5py.Dataset]) -> None:
    """Make `time` the scale of axis 0 of `datasets`, and give their other axes one of their own.

    Parameters
    ----------
    file : h5py.File
        The file, open for writing.
    time : h5py.Dataset
        The time column.
    datasets : list of h5py.Dataset
        The other columns of the same group.
    """
    time.make_scale("time")
    for dataset in datasets:
        dataset.dims[0].attach_scale(time)
        used: list[int] = []
        for axis, size in enumerate(dataset.shape[1:], start=1):
            dataset.dims[axis].attach_scale(_dimension(file, size, used.count(size)))
            used.append(size)


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
