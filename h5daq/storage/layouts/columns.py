"""Columns on their way into datasets: full chunks as they come, the partial one at a checkpoint.

A column outlives the transactions, its HDF5 identifier does not: each transaction opens the file
anew. So a column keeps an object reference (the dataset's address in the file) and opens its
dataset by it, only in transactions in which it is written to, without a walk through groups.
"""

from __future__ import annotations

import functools
from typing import Any, Protocol

import h5py
import numpy as np
from h5py import h5d, h5r
from numpy.typing import NDArray

from h5daq.flow.batch import ColumnData
from h5daq.flow.chunks import ChunkFiller
from h5daq.flow.schema import Column
from h5daq.storage.filters import Encoded, Filters
from h5daq.storage.large import LARGE_BYTES
from h5daq.storage.transaction import TransactionFile

__all__ = ["BinaryColumn", "ChunkSink", "DatasetColumn", "TextColumn"]

_TEXT_PENDING = 1 << 20
"""Characters of a text column that wait at most for the next checkpoint."""


_CHUNKS_AHEAD = 16
"""That a dataset grows by at once while large chunks come in; `fit` takes back what is too many."""


class ChunkSink(Protocol):
    """Where full chunks go: encoded and written at once, or in a while by a pool."""

    @property
    def file(self) -> h5py.File:
        """The file of the transaction that is open."""
        ...

    def put(self, column: BinaryColumn, index: int, block: NDArray[Any]) -> None:
        """Take a full chunk."""
        ...


class DatasetColumn:
    """What binary and text columns share: a dataset that is opened when needed, and its length."""

    def __init__(self, column: Column, dataset: h5py.Dataset) -> None:
        self.column = column
        self._shape = column.shape
        self._reference = dataset.ref
        self._file: h5py.File | None = None
        self._id: h5d.DatasetID | None = None
        self._extent = int(dataset.shape[0])

    def open(self, file: h5py.File) -> h5d.DatasetID:
        """The dataset's identifier in the transaction whose file is `file`."""
        if self._id is None or self._file is not file:
            self._id, self._file = h5r.dereference(self._reference, file.id), file
        return self._id

    def extend(self, file: h5py.File, rows: int) -> None:
        """Give the dataset `rows` rows, if it has fewer."""
        if rows > self._extent:
            self.fit(file, rows)

    def fit(self, file: h5py.File, rows: int) -> None:
        """Give the dataset exactly `rows` rows."""
        if rows != self._extent:
            self.open(file).set_extent((rows, *self._shape))
            self._extent = rows


class BinaryColumn(DatasetColumn):
    """A column of numbers, bools or fixed bytes.

    Parameters
    ----------
    column : Column
        What it holds.
    dataset : h5py.Dataset
        Where it goes; a partial chunk is read back and gone on with.
    filters : Filters
        The filters that the dataset declares.

    Attributes
    ----------
    is_large : bool
        Whether its chunks are worth another thread, and have a length that is known beforehand.
    """

    def __init__(self, column: Column, dataset: h5py.Dataset, filters: Filters) -> None:
        super().__init__(column, dataset)
        self.filters = filters
        self._chunk_rows = int(dataset.chunks[0])
        chunk_bytes = self._chunk_rows * column.row_bytes
        self._stored_bytes = filters.stored_bytes(chunk_bytes)
        self.is_large = chunk_bytes >= LARGE_BYTES and self._stored_bytes > 0
        self._origin = (0,) * len(column.shape)
        full = self._extent - self._extent % self._chunk_rows
        tail = np.asarray(dataset[full:], column.dtype) if full < self._extent else None
        self._filler = ChunkFiller(column, self._chunk_rows, self._extent, tail)

    def append(self, rows: ColumnData, sink: ChunkSink) -> None:
        """Take rows, and hand the chunks that they fill to `sink`."""
        for index, block in self._filler.add(np.asarray(rows)):
            sink.put(self, index, block)

    def finish(self, file: h5py.File) -> None:
        """Bring the dataset to its full length, with its partial chunk."""
        self.fit(file, self._filler.rows)
        partial = self._filler.partial()
        if partial is not None:
            index, block, held = partial
            self.write(file, index, block, held)

    def write(self, file: h5py.File, index: int, block: NDArray[Any], rows: int) -> None:
        """Write a chunk whose first `rows` rows count."""
        if self.filters.direct:
            self.write_encoded(file, index, self.filters.encode(block))
        else:
            start = index * self._chunk_rows
            self.extend(file, start + rows)
            h5py.Dataset(self.open(file))[start : start + rows] = block[:rows]

    def write_encoded(self, file: h5py.File, index: int, chunk: Encoded) -> None:
        """Write a chunk that has passed the filters already."""
        self.extend(file, self._filler.rows)
        self.open(file).write_direct_chunk((index * self._chunk_rows, *self._origin), chunk)

    def write_later(
        self, file: h5py.File, index: int, block: NDArray[Any], target: TransactionFile
    ) -> None:
        """Give a full chunk its place; a thread passes it through the filters and writes it."""
        if self._filler.rows > self._extent:
            self.extend(file, self._filler.rows + _CHUNKS_AHEAD * self._chunk_rows)
        fill = functools.partial(self.filters.fill, block)
        with target.later(self._stored_bytes, fill) as placeholder:
            self.open(file).write_direct_chunk(
                (index * self._chunk_rows, *self._origin), placeholder
            )


class TextColumn(DatasetColumn):
    """A column of variable-length UTF-8. HDF5 itself stores the strings, in its global heap."""

    def __init__(self, column: Column, dataset: h5py.Dataset) -> None:
        super().__init__(column, dataset)
        self._waiting: list[str] = []
        self._characters = 0

    @staticmethod
    def check(label: str, rows: ColumnData) -> None:
        """Refuse what HDF5's strings can't hold, before any column has taken its part.

        Raises
        ------
        ValueError
            If a text has a NUL, or can't be written as UTF-8.
        """
        text = "".join(rows)
        text.encode()
        if "\0" in text:
            raise ValueError(f"label {label!r}: a text with a NUL character")

    def append(self, rows: ColumnData, sink: ChunkSink) -> None:
        """Take rows; they are written at a checkpoint, or when many wait."""
        self._waiting.extend(str(text) for text in rows)
        self._characters += sum(map(len, rows))
        if self._characters + len(self._waiting) > _TEXT_PENDING:
            self.finish(sink.file)

    def finish(self, file: h5py.File) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        start = self._extent
        dataset = h5py.Dataset(self.open(file))
        if start:
            # Reading a string loads its heap block, and HDF5 fills a block that it knows before
            # it makes a new one of 4 KiB: without this each checkpoint would cost a block.
            dataset[start - 1]
        self.extend(file, start + len(self._waiting))
        dataset[start:] = self._waiting
        self._waiting, self._characters = [], 0
