"""The rows of a dataset's file in large pieces, past HDF5's own ways: chunk by chunk.

Without filters a full chunk is the bytes of its rows, and it stays where it was put. So full chunks
are written as they are, and read from their places with as few reads as there are gaps between
them. What is not of that kind (texts, another program's dtype, filters) takes HDF5's way.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from h5daq.flow.variables import Columns
from h5daq.storage.layouts.datavault_head import DATASET, file_dtype
from h5daq.storage.layouts.waiting import Waiting

__all__ = ["Places", "write_rows"]

_SLAB_CHUNKS = 32
"""Chunks that are put in order together before they are written."""

ReadAt = Callable[[int, memoryview], None]


def write_rows(file: h5py.File, columns: Columns, stored: int, waiting: Waiting) -> None:
    """Append what waits to the `stored` rows that are there."""
    dataset, total = file[DATASET], stored + waiting.count
    dataset.id.set_extent((total,))
    chunk = _plain_chunk(dataset, columns)
    if not chunk:
        dataset[stored:] = waiting.read(0, waiting.count).astype(file_dtype(columns))
        return
    first, last = min(total, -(-stored // chunk) * chunk), total - total % chunk
    _write_part(dataset, columns, waiting, stored, (stored, first))
    _write_chunks(dataset, waiting, stored, range(first, last, chunk))
    _write_part(dataset, columns, waiting, stored, (max(first, last), total))


def _write_part(
    dataset: h5py.Dataset, columns: Columns, waiting: Waiting, stored: int, rows: tuple[int, int]
) -> None:
    """Rows of a chunk that is not full."""
    start, stop = rows
    if start < stop:
        found = waiting.read(start - stored, stop - stored)
        dataset[start:stop] = found.astype(file_dtype(columns), copy=False)


def _write_chunks(dataset: h5py.Dataset, waiting: Waiting, stored: int, starts: range) -> None:
    chunk, size = starts.step, starts.step * waiting.dtype.itemsize
    slab = np.empty(min(len(starts), _SLAB_CHUNKS) * chunk, dtype=waiting.dtype)
    data = _bytes_of(slab)
    for place in range(0, len(starts), _SLAB_CHUNKS):
        those = starts[place : place + _SLAB_CHUNKS]
        waiting.copy_to(slab[: len(those) * chunk], those[0] - stored)
        for number, start in enumerate(those):
            dataset.id.write_direct_chunk((start,), data[number * size : (number + 1) * size])


def _plain_chunk(dataset: h5py.Dataset, columns: Columns) -> int:
    """Rows of a chunk, if it is nothing but the bytes of its rows as they are in memory; else 0."""
    if any(column.type == "s" for column in columns.all) or not dataset.chunks:
        return 0
    filtered = dataset.id.get_create_plist().get_nfilters()
    return 0 if filtered or _layout(dataset.dtype) != _layout(columns.dtype) else dataset.chunks[0]


def _layout(dtype: np.dtype[Any]) -> Any:
    """What stands at which byte of a row, whatever the names."""
    return dtype.itemsize, [tuple(field) for field in (dtype.fields or {}).values()]


def _bytes_of(rows: NDArray[Any]) -> memoryview:
    return rows.view("u1").data


class Places:
    """Where the full chunks of a dataset stand in its file; for rows of one that only grows.

    Parameters
    ----------
    columns : Columns
        The dataset's.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._offsets = array("Q")
        self._chunk = -1

    def read(self, file: h5py.File, read_at: ReadAt, start: int, stop: int) -> NDArray[Any] | None:
        """Rows ``start … stop-1``, all of which are there; None if HDF5 has to read them.

        Parameters
        ----------
        file : h5py.File
            The file.
        read_at : callable
            Fills a buffer from an offset of it.
        """
        if not self._knows(stop) and not self._learn(file[DATASET], stop):
            return None
        rows = np.empty(stop - start, dtype=self._columns.dtype)
        into, width = _bytes_of(rows), rows.dtype.itemsize
        done = 0
        for offset, length in self._runs(start * width, stop * width):
            read_at(offset, into[done : done + length])
            done += length
        return rows

    def _knows(self, stop: int) -> bool:
        """Whether all chunks of the rows up to there are known: to look into HDF5 takes time."""
        return self._chunk > 0 and len(self._offsets) * self._chunk >= stop

    def _learn(self, dataset: h5py.Dataset, stop: int) -> bool:
        """Learn the places of the chunks of the first rows; whether all have one."""
        if self._chunk < 0:
            self._chunk = _plain_chunk(dataset, self._columns)
        upto = -(-stop // self._chunk) if self._chunk else 0
        for number in range(len(self._offsets), upto):
            info = dataset.id.get_chunk_info_by_coord((number * self._chunk,))
            if info.byte_offset is None:
                return False
            self._offsets.append(info.byte_offset)
        return bool(self._chunk)

    def _runs(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Stretches of the file that hold these bytes of the rows, as (offset, length)."""
        size = self._chunk * self._columns.dtype.itemsize
        first, last = begin // size, -(-end // size)
        offsets = np.frombuffer(self._offsets, np.uint64)[first:last].astype(np.int64)
        gaps = np.flatnonzero(np.diff(offsets) != size) + 1
        for place, stop in pairwise([0, *gaps.tolist(), len(offsets)] if begin < end else ()):
            low, high = max(begin, (first + place) * size), min(end, (first + stop) * size)
            yield int(offsets[place]) + low - (first + place) * size, high - low
