"""What only HDF5 can read: text, foreign filters, and its verdict on chunks that look bad.

The file is never open for longer than a tenth of a second or a single piece. So a run that is being
recorded applies its checkpoints in between, instead of piling them up behind a reader that stays
for hours.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py

from h5daq.errors import StorageError
from h5daq.files.verify.raw import ASK, Suspect
from h5daq.files.verify.report import ERROR, NOTE, WARNING
from h5daq.files.verify.stored import Store
from h5daq.files.verify.telling import HDF5_ERRORS, MOST_ALIKE, Limited, brief
from h5daq.storage.opening import open_for_reading

__all__ = ["Readback"]

PIECE_ELEMENTS = 1 << 16
"""Elements of one piece, about."""

HOLD = 0.1
"""Seconds that the file stays open for several pieces."""

MOST_ASKED = 100
"""Bad chunks of one dataset after which HDF5 is not asked about further ones."""

MOST_BYTES = 1 << 30
"""Bytes of a chunk that HDF5 is asked for at most."""

_RESTORE = "restore the file from a copy; all other chunks can still be read"
_GONE = "verify it once more under its present name"


class Readback:
    """Reads pieces of one file through HDF5.

    Parameters
    ----------
    path : Path
        The file.
    patience : float
        Seconds to wait while a checkpoint is applied.
    limited : Limited
        Told what is wrong.
    """

    def __init__(self, path: Path, patience: float, limited: Limited) -> None:
        self._path, self._patience, self._limited = path, patience, limited
        self._gone = False
        self._file: h5py.File | None = None
        self._since = 0.0
        self._bad_chunks: Counter[str] = Counter()

    def __enter__(self) -> Readback:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _open(self) -> h5py.File:
        if self._file is not None and time.monotonic() - self._since > HOLD:
            self._close()
        if self._file is None:
            self._file = open_for_reading(self._path, self._patience)
            self._since = time.monotonic()
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def read(self, dataset: str, index: Any, use: Callable[[Any], object] | None = None) -> str:
        """Read a part of a dataset, and hand it to `use`; says what went wrong, or nothing."""
        if self._gone:
            return ""
        self._limited.told.at(dataset)
        try:
            values = _values(self._open()[dataset], index)
        except StorageError as error:
            self._note_gone(error)
            return ""
        except HDF5_ERRORS as error:
            return brief(error)
        if use is not None:
            use(values)
        return ""

    def judge(self, suspect: Suspect) -> None:
        """Let HDF5 read a chunk, and tell what it says if it can't."""
        store = suspect.store
        if store.layout != "chunked":
            self._bad(suspect, suspect.cause)
            return
        if suspect.cause == ASK and store.missing_filters:
            self._no_filter(store)
            return
        if store.chunk_bytes > MOST_BYTES or self._bad_chunks[store.path] >= MOST_ASKED:
            self._bad(suspect, suspect.cause)
            return
        trouble = self.read(store.path, _chunk_index(store, suspect.number))
        if trouble:
            self._bad(suspect, trouble if suspect.cause == ASK else suspect.cause)

    def read_all(self, store: Store, chunks: Iterable[int]) -> None:
        """Read all of a dataset whose bytes refer to others, piece by piece.

        Parameters
        ----------
        store : Store
            The dataset.
        chunks : iterable of int
            Numbers of its stored chunks: what it claims beyond them is only fill values.
        """
        failed = 0
        for index, words in _pieces(store, sorted(chunks)):
            trouble = self.read(store.path, index)
            failed += bool(trouble)
            if failed > MOST_ALIKE:
                # It may claim any number of rows.
                return
            if trouble:
                text = f"{words} can't be read: {trouble}"
                self._limited.add(ERROR, "unreadable", text, store.path, _RESTORE)

    def _bad(self, suspect: Suspect, cause: str) -> None:
        store = suspect.store
        self._bad_chunks[store.path] += 1
        if store.layout == "chunked":
            what = f"the chunk from {_offset(store.first(suspect.number))} on"
        else:
            what = "its values"
        text = f"{what} ({suspect.size:,} bytes at address {suspect.address:,}): {cause}"
        self._limited.add(ERROR, "chunk", text, store.path, _RESTORE)

    def _no_filter(self, store: Store) -> None:
        names = ", ".join(str(code) for code in store.missing_filters)
        self._limited.add(
            WARNING, "filter", f"its chunks can't be decompressed here: no filter {names}",
            store.path, "install the filter's HDF5 plugin and verify again",
        )  # fmt: skip

    def _note_gone(self, error: StorageError) -> None:
        self._gone = True
        text = f"it could not be opened again while it was checked: {error}"
        self._limited.add(NOTE, "gone", text, mend=_GONE)


def _values(dataset: h5py.Dataset, index: Any) -> Any:
    if h5py.check_string_dtype(dataset.dtype) is not None and dataset.dtype.kind == "O":
        return dataset.asstr(errors="strict")[index]
    return dataset[index]


def _pieces(store: Store, chunks: list[int]) -> Iterator[tuple[Any, str]]:
    """What is read at once, and how it is called."""
    if store.layout == "chunked" and all(count == 1 for count in store.grid[1:]):
        yield from _row_pieces(store, chunks)
    elif store.layout == "chunked":
        for number in chunks:
            yield _chunk_index(store, number), f"the chunk from {store.first(number)} on"
    elif not store.shape:
        yield (), "its value"
    else:
        step = max(1, PIECE_ELEMENTS // max(1, math.prod(store.shape[1:])))
        for start in range(0, store.shape[0], step):
            yield _rows(start, min(store.shape[0], start + step))


def _row_pieces(store: Store, chunks: list[int]) -> Iterator[tuple[Any, str]]:
    """Stored chunks side by side make one piece of rows."""
    rows, most = store.chunk[0], store.shape[0]
    step = max(1, PIECE_ELEMENTS // max(1, math.prod(store.chunk)))
    while chunks:
        count = 1
        while count < min(step, len(chunks)) and chunks[count] == chunks[0] + count:
            count += 1
        start = chunks[0] * rows
        chunks = chunks[count:]
        if start < most:
            yield _rows(start, min(most, start + count * rows))


def _rows(start: int, stop: int) -> tuple[slice, str]:
    return slice(start, stop), f"rows {start:,} to {stop - 1:,}"


def _chunk_index(store: Store, number: int) -> tuple[slice, ...]:
    sizes = zip(store.first(number), store.chunk, store.shape, strict=True)
    return tuple(slice(first, min(first + rows, most)) for first, rows, most in sizes)


def _offset(place: tuple[int, ...]) -> str:
    if len(place) == 1 or not any(place[1:]):
        return f"row {place[0]:,}"
    return f"index {place}"
