"""Where a dataset's bytes lie in the file: its chunks, or the one stretch that it has.

`stored_chunks` asks HDF5 for the place of each chunk, once, in time that grows with their number,
and puts them into plain arrays. What can't be true is found here without reading anything: chunks
beyond the end of the file, chunks of a wrong size, rows without a chunk.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFLATE", "FLETCHER32", "SHUFFLE", "Places", "Store", "describe_store", "stored_chunks"]

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
"""Numbers of HDF5's own filters."""

_MOST_CHUNKS = 1 << 27
"""Chunks of one dataset that are looked at: 4 GiB of places."""


@dataclass(frozen=True, slots=True)
class Store:
    """How a dataset is stored.

    Attributes
    ----------
    path : str
        The dataset.
    layout : {"chunked", "contiguous", "compact", "virtual", "external"}
        What HDF5 calls it.
    shape, chunk : tuple of int
        Of the dataset, and of one chunk; ``chunk`` is empty unless it is chunked.
    chunk_bytes : int
        Bytes of a chunk before the filters.
    filters : tuple of int
        Numbers of the filters, in the order in which they are applied.
    references : bool
        Whether the bytes refer to others (text, references): only HDF5 can follow them.
    """

    path: str
    layout: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...] = ()
    chunk_bytes: int = 0
    filters: tuple[int, ...] = ()
    references: bool = False

    @property
    def ours(self) -> bool:
        """Whether its filters can be undone without HDF5."""
        return set(self.filters) <= {DEFLATE, SHUFFLE, FLETCHER32}

    @property
    def missing_filters(self) -> list[int]:
        """Filters that this HDF5 does not have."""
        return [code for code in self.filters if not h5py.h5z.filter_avail(code)]

    @property
    def grid(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunk, strict=True))

    def first(self, number: int) -> tuple[int, ...]:
        """Index of the first element of a chunk, by its number."""
        place = []
        for count in reversed(self.grid):
            number, index = divmod(number, max(1, count))
            place.append(index)
        return tuple(i * c for i, c in zip(reversed(place), self.chunk, strict=True))


_LAYOUTS = {
    h5py.h5d.CHUNKED: "chunked",
    h5py.h5d.CONTIGUOUS: "contiguous",
    h5py.h5d.COMPACT: "compact",
    h5py.h5d.VIRTUAL: "virtual",
}


def describe_store(path: str, dataset: h5py.Dataset) -> Store:
    """How `dataset` is stored; may raise whatever h5py raises on a damaged file."""
    plist = dataset.id.get_create_plist()
    layout = _LAYOUTS.get(plist.get_layout(), "external")
    shape = tuple(int(n) for n in dataset.shape or ())
    references = _refers(dataset)
    if layout == "contiguous" and plist.get_external_count():
        layout = "external"
    if layout != "chunked":
        return Store(path, layout, shape, references=references)
    chunk = tuple(int(n) for n in dataset.chunks)
    codes = tuple(int(plist.get_filter(i)[0]) for i in range(plist.get_nfilters()))
    nbytes = math.prod(chunk) * int(dataset.id.get_type().get_size())
    return Store(path, layout, shape, chunk, nbytes, codes, references)


def _refers(dataset: h5py.Dataset) -> bool:
    try:
        return bool(dataset.dtype.hasobject)
    except TypeError:
        # A type that numpy knows nothing like: its bytes are checked, its values can't be read.
        return False


@dataclass(slots=True)
class Places:
    """Stored chunks of one dataset: number in the grid, address, bytes, filters left out."""

    number: array[int] = field(default_factory=lambda: array("q"))
    address: array[int] = field(default_factory=lambda: array("q"))
    size: array[int] = field(default_factory=lambda: array("q"))
    mask: array[int] = field(default_factory=lambda: array("q"))
    too_many: bool = False

    def add(self, number: int, address: int, size: int, mask: int = 0) -> None:
        """Add one."""
        self.number.append(number)
        self.address.append(address)
        self.size.append(size)
        self.mask.append(mask)

    def arrays(self) -> tuple[NDArray[np.int64], ...]:
        """Numbers, addresses, sizes and masks."""
        columns = (self.number, self.address, self.size, self.mask)
        return tuple(np.array(column, np.int64) for column in columns)

    def first_missing(self, expected: int) -> int | None:
        """The first number below `expected` that is not there."""
        seen = np.unique(np.array(self.number, np.int64))
        seen = seen[(seen >= 0) & (seen < expected)]
        if len(seen) == expected:
            return None
        gaps = np.flatnonzero(seen != np.arange(len(seen)))
        return int(gaps[0]) if len(gaps) else len(seen)


def stored_chunks(store: Store, dataset: h5py.Dataset, file_bytes: int) -> Places:
    """The stored chunks of a dataset.

    Parameters
    ----------
    store : Store
        The dataset, chunked.
    dataset : h5py.Dataset
        The same, open.
    file_bytes : int
        Bytes of the file: no more chunks than that can be in it.
    """
    places, grid = Places(), store.grid
    most = min(file_bytes, _MOST_CHUNKS)

    def visit(chunk: Any) -> bool | None:
        number = _number(chunk.chunk_offset, store.chunk, grid)
        places.add(number, int(chunk.byte_offset), int(chunk.size), int(chunk.filter_mask))
        places.too_many = len(places.number) > most
        return True if places.too_many else None

    dataset.id.chunk_iter(visit)
    return places


def _number(offset: Sequence[int], chunk: Sequence[int], grid: Sequence[int]) -> int:
    number = 0
    for start, rows, count in zip(offset, chunk, grid, strict=True):
        number = number * max(1, count) + int(start) // rows
    return number
