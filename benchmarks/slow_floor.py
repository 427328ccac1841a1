"""The smallest file that HDF5 can make of a run file: what `benchmarks.slow` is held against.

The same groups, datasets, types and attributes, and datasets that can be extended; but all is
written once and at its place, each dataset has one chunk of just its rows, and there are no
checksums, no room to spare and no free space that is kept for later. A checkpoint can't do that:
it doesn't know what is still to come.

What HDF5 needs for a dataset is the same whatever is in it. `rows_below` looks from how many rows
on it is little beside them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from h5py import h5a, h5g, h5o

from h5daq.flow.batch import Batch
from h5daq.flow.schema import Column, Schema
from h5daq.storage.layouts.group_form import group_properties
from h5daq.storage.layouts.run import FileHead, JobHead, RunFile

__all__ = ["rows_below", "smallest_file"]

_Node: TypeAlias = h5py.Group | h5py.Dataset
_SCALES, _SCALED = "DIMENSION_LIST", "REFERENCE_LIST"
_GROUP_BYTES = 87
"""Of a group's header without links and attributes."""


def smallest_file(source: Path) -> bytes:
    """The smallest copy of a run file; HDF5 gives out no block larger than it was asked for."""
    memory = io.BytesIO()
    form: dict[str, Any] = {"libver": ("v110", "v110"), "track_order": True}
    with h5py.File(source) as old, h5py.File(memory, "w", **form) as new:
        _copy_group(old, new)
        old.visititems(lambda name, node: _refer(node, new[name]))
    return memory.getvalue()


def _copy_group(old: h5py.Group, new: h5py.Group) -> None:
    _copy_attributes(old, new)
    for name, node in old.items():
        if isinstance(node, h5py.Group):
            _copy_group(node, _new_group(node, new, name))
        else:
            _copy_dataset(node, new, name)


def _new_group(old: h5py.Group, parent: h5py.Group, name: str) -> h5py.Group:
    """A group with room in its header for just what the old one has there."""
    space = h5o.get_info(old.id).hdr.space
    form = group_properties(int(space.total - space.free) - _GROUP_BYTES)
    return h5py.Group(h5g.create(parent.id, name.encode(), gcpl=form))


def _copy_dataset(old: h5py.Dataset, parent: h5py.Group, name: str) -> None:
    options: dict[str, Any] = {"maxshape": old.maxshape, "chunks": old.chunks and old.shape}
    if old.dtype.kind in "fc":
        options["fillvalue"] = old.fillvalue
    new = parent.create_dataset(name, old.shape, old.dtype, **options)
    _copy_attributes(old, new)
    if old.chunks:
        new[...] = old[...]


def _copy_attributes(old: _Node, new: _Node) -> None:
    """Make all attributes, and write those that don't refer to what is not there yet."""
    for name in old.attrs:
        stored, value = old.attrs.get_id(name), old.attrs[name]
        h5a.create(new.id, name.encode(), stored.get_type(), stored.get_space())
        if name == _SCALES:
            value[:] = [_same(axis, old, new) for axis in value]
        if name != _SCALED:
            new.attrs.modify(name, value)


def _refer(old: _Node, new: _Node) -> None:
    """Tell a scale whose it is."""
    if _SCALED in old.attrs:
        entries = old.attrs[_SCALED]
        entries["dataset"] = _same(entries["dataset"], old, new)
        new.attrs.modify(_SCALED, entries)


def _same(references: Any, old: _Node, new: _Node) -> Any:
    return np.array([new.file[old.file[r].name].ref for r in references], h5py.ref_dtype)


_STEP = 20
_HEAD = FileHead(1, 0, 0, 0.0, 0.0, 1e6, "run", 1.0, 0.0, "1 days")


def rows_below(folder: Path, jobs: int, labels: list[str], bar: float, most: int) -> int:
    """From how many rows per job on a file of slow jobs is less than `bar` times its payload.

    Parameters
    ----------
    folder : Path
        Where the file is made, by the storage layer alone, with a checkpoint each few rows.
    jobs : int
        Groups.
    labels : list of str
        Columns of floats in each, beside the time.
    bar : float
        File size over payload.
    most : int
        Rows to look at. Later ones cost no more: a chunk begun is a kilobyte at most.
    """
    last = 0
    for rows, size in _growing(folder, jobs, labels, most):
        if size >= bar * rows * jobs * 8 * (1 + len(labels)):
            last = rows
    return last + _STEP


def _growing(folder: Path, jobs: int, labels: list[str], most: int) -> Iterator[tuple[int, int]]:
    """Rows, and the size of the file in bytes, after each checkpoint."""
    schema = Schema.of([Column(label, np.dtype("f8")) for label in labels])
    heads = [JobHead(f"job{j:03d}", schema, period=1.0) for j in range(jobs)]
    values = np.random.random((1 + len(labels), _STEP))
    run_file = RunFile.create(folder / "growing.hdf5", _HEAD, durable=False, write_period=1.0)
    for first in range(0, most, _STEP):
        columns = (np.arange(first, first + _STEP, dtype="f8"), *values[1:])
        for head in heads:
            run_file.append(head, Batch(head.job, 1, first, _STEP, columns))
        run_file.checkpoint(first + 1)
        yield first + _STEP, run_file.path.stat().st_size
    run_file.abort()
    run_file.path.unlink()
