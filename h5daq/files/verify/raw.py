"""Stored bytes against their checksums, read straight from the file and in the order they lie in.

The columns of a job lie chunk beside chunk, so going through one dataset after the other would jump
through the whole file again and again. Places of many datasets are collected, sorted by address,
read in long stretches, and checked by a few threads: Fletcher-32 at memory speed, deflate by ISA-L
or zlib.
HDF5 takes no part, so a file that is being recorded is not locked meanwhile.

A chunk that fails here is a *suspect*: a running writer may have moved it, and very old files have
their checksums turned round. HDF5 has the last word on it (`h5daq.files.verify.readback`).
"""

from __future__ import annotations

import errno
import os
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
from numcodecs.fletcher32 import Fletcher32
from numpy.typing import NDArray

from h5daq.files.verify.stored import DEFLATE, FLETCHER32, Places, Store

_inflater: ModuleType = zlib
with suppress(ImportError):  # where there is no wheel for it, zlib does the same at half the speed
    _inflater = import_module("isal.isal_zlib")

__all__ = ["ASK", "RawCheck", "Suspect"]

ASK = "only HDF5 can read it"
"""What is said of a chunk whose filters are not ours."""

STRETCH = 4 << 20
"""Bytes that are read at once."""

GAP = 64 << 10
"""Bytes between two chunks that are rather read than jumped over."""

COLLECTED = 1_000_000
"""Chunks that are collected before they are checked."""

_THREADS = max(2, min(8, os.cpu_count() or 1))
_AHEAD = 2 * _THREADS
_CHECKSUM_BYTES = 4


@dataclass(frozen=True, slots=True)
class Suspect:
    """A chunk whose bytes are not right, or that only HDF5 can judge: and why."""

    store: Store
    number: int
    address: int
    size: int
    cause: str


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Chunks that lie so close together that they are read at once."""

    store: NDArray[np.int64]
    number: NDArray[np.int64]
    address: NDArray[np.int64]
    size: NDArray[np.int64]
    mask: NDArray[np.int64]

    @property
    def length(self) -> int:
        return int((self.address + self.size).max() - self.address[0])


class RawCheck:
    """Checks chunks of an open file; a context manager that lets its threads go.

    Parameters
    ----------
    fd : int
        The file.
    end : int
        Bytes of the file that count.
    progress : callable
        Told the bytes of each stretch that is done.
    values : bool
        Whether to read the chunks; else only their places are compared.

    Attributes
    ----------
    suspects : list of Suspect
        Chunks that HDF5 has to judge.
    overlaps : list of tuple
        Pairs of (dataset, address) that claim the same bytes.
    chunks, nbytes : int
        What was checked.
    """

    def __init__(
        self, fd: int, end: int, progress: Callable[[int], object], *, values: bool = True
    ) -> None:
        self._fd, self._end, self._progress, self._values = fd, end, progress, values
        self._stores: list[Store] = []
        self._waiting: list[tuple[int, Places]] = []
        self._count = 0
        self._pool = ThreadPoolExecutor(_THREADS, "h5daq-verify")
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        self._memory = threading.local()
        self.suspects: list[Suspect] = []
        self.overlaps: list[tuple[str, int]] = []
        self.chunks = self.nbytes = 0

    def __enter__(self) -> RawCheck:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, store: Store, places: Places) -> None:
        """Take the places of a dataset; checked at once when many have come together."""
        self._stores.append(store)
        self._waiting.append((len(self._stores) - 1, places))
        self._count += len(places.number)
        if self._count >= COLLECTED:
            self.run()

    def run(self) -> None:
        """Check all that was added."""
        running: deque[Future[tuple[int, list[Suspect]]]] = deque()
        for stretch in self._stretches():
            if not self._values:
                continue
            running.append(self._pool.submit(self._check, stretch))
            if len(running) > _AHEAD:
                self._note(*running.popleft().result())
        for future in running:
            self._note(*future.result())

    def _note(self, nbytes: int, suspects: list[Suspect]) -> None:
        self.nbytes += nbytes
        self.suspects += suspects
        self._progress(nbytes)

    # -- what is read together ------------------------------------------------------------------

    def _stretches(self) -> Iterator[_Stretch]:
        table = self._table()
        self._waiting.clear()
        self._count = 0
        if not len(table[0]):
            return
        store, number, address, size, mask = table
        self._note_overlaps(store, address, size)
        for first, last in _cuts(address, size):
            part = slice(first, last)
            yield _Stretch(store[part], number[part], address[part], size[part], mask[part])

    def _table(self) -> tuple[NDArray[np.int64], ...]:
        parts = [
            (np.full(len(places.number), index, np.int64), *places.arrays())
            for index, places in self._waiting
        ]
        if not parts:
            return (np.empty(0, np.int64),) * 5
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        self.chunks += len(columns[0])
        _, _, address, size, _ = columns
        inside = (address >= 0) & (size >= 0) & (address <= self._end - size)
        self._refuse(columns, ~inside, f"it would end behind the end of the file at {self._end:,}")
        most = np.array([_most_bytes(store) for store in self._stores])[columns[0]]
        self._refuse(columns, inside & (size > most), "it claims to be larger than it can be")
        good = inside & (size <= most)
        order = np.argsort(address[good], kind="stable")
        return tuple(column[good][order] for column in columns)

    def _refuse(self, columns: list[NDArray[np.int64]], which: NDArray[Any], cause: str) -> None:
        """Chunks that are not even read."""
        for index, number, address, size, _ in zip(*(c[which] for c in columns), strict=True):
            self.suspects.append(_suspect(self._stores[index], number, address, size, cause))

    def _note_overlaps(
        self, store: NDArray[np.int64], address: NDArray[np.int64], size: NDArray[np.int64]
    ) -> None:
        ends = np.maximum.accumulate(address + size)
        for at in np.flatnonzero((address[1:] < ends[:-1]) & (size[1:] > 0)) + 1:
            self.overlaps.append((self._stores[store[at]].path, int(address[at])))

    # -- in a thread ----------------------------------------------------------------------------

    def _check(self, stretch: _Stretch) -> tuple[int, list[Suspect]]:
        start, total = int(stretch.address[0]), int(stretch.size.sum())
        try:
            data = self._read(start, stretch.length)
        except OSError as error:
            return total, self._unread(stretch, f"the disk can't read it: {error.strerror}")
        bad = []
        columns = (stretch.store, stretch.number, stretch.address, stretch.size, stretch.mask)
        for index, number, address, size, mask in zip(*(c.tolist() for c in columns), strict=True):
            store = self._stores[index]
            cause = _judge(store, data[address - start : address - start + size], mask)
            if cause:
                bad.append(_suspect(store, number, address, size, cause))
        return total, bad

    def _read(self, start: int, length: int) -> memoryview:
        """Bytes of the file, in memory that the thread's next stretch will use again."""
        memory: bytearray | None = getattr(self._memory, "bytes", None)
        if memory is None or len(memory) < length:
            # Fresh memory for each stretch costs more than its checksums.
            memory = self._memory.bytes = bytearray(max(length, STRETCH))
        view, done = memoryview(memory)[:length], 0
        while done < length:
            count = os.preadv(self._fd, [view[done:]], start + done)
            if not count:
                raise OSError(errno.EIO, "the file ends here")
            done += count
        return view

    def _unread(self, stretch: _Stretch, cause: str) -> list[Suspect]:
        rows = zip(stretch.store, stretch.number, stretch.address, stretch.size, strict=True)
        return [_suspect(self._stores[i], n, a, size, cause) for i, n, a, size in rows]


def _most_bytes(store: Store) -> int:
    """Bytes that a chunk may have in the file: no filter makes it much larger."""
    return STRETCH if store.layout != "chunked" else 2 * store.chunk_bytes + STRETCH


def _suspect(store: Store, number: int, address: int, size: int, cause: str) -> Suspect:
    return Suspect(store, int(number), int(address), int(size), cause)


def _cuts(address: NDArray[np.int64], size: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Where one stretch ends and the next begins, as ranges of sorted chunks."""
    first, ends = 0, address + size
    far = np.flatnonzero(address[1:] - np.maximum.accumulate(ends)[:-1] > GAP) + 1
    for last in [*far.tolist(), len(address)]:
        while first < last:
            fitting = int(np.searchsorted(ends[first:last], address[first] + STRETCH, "right"))
            step = max(1, fitting)
            yield first, first + step
            first += step


def _judge(store: Store, data: memoryview, mask: int) -> str:
    """What is wrong with a chunk as it is stored; empty if it is right."""
    if store.layout != "chunked":
        return ""
    if mask or not store.ours:
        return ASK
    for code in reversed(store.filters):
        if code == FLETCHER32:
            if not _sum_is_right(data):
                return "its bytes do not have the checksum that was written with them"
            data = data[:-_CHECKSUM_BYTES]
        elif code == DEFLATE:
            inflated = _inflated(data, store.chunk_bytes)
            if inflated is None:
                return "it can't be decompressed"
            data = inflated
    if len(data) != store.chunk_bytes:
        return f"it has {len(data):,} bytes where a chunk has {store.chunk_bytes:,}"
    return ""


def _sum_is_right(data: memoryview) -> bool:
    if len(data) <= _CHECKSUM_BYTES:
        return False
    try:
        Fletcher32().decode(data)
    except RuntimeError:
        return False
    return True


def _inflated(data: memoryview, most: int) -> memoryview | None:
    """The data without deflate; None if it is no such stream, or a longer one than `most`."""
    stream = _inflater.decompressobj()
    try:
        # A byte more than it may be: damage must not fill the memory.
        inflated = stream.decompress(data, most + 1)
    except _inflater.error:
        return None
    return memoryview(inflated) if stream.eof else None
